"""What a member makes of a slot whose process is not its own code any more."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tasklet_runner.member import slots
from tasklet_runner.member.backlog import Supplies
from tasklet_runner.member.slot_home import SlotHome
from tasklet_runner.member.slot_process import SlotWiring
from tasklet_runner.member.slot_wire import FROM_SLOT, Verb
from tasklet_runner.sandbox.brim import Brim
from tasklet_runner.wire.errors import LeaseGridError


def no_supplies() -> Supplies:
    raise AssertionError("no frame was sent")


@pytest.mark.unhappy("a slot that says what none says, or announces more bytes than any message has")
@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"\xff" * FROM_SLOT.size, id="nonsense"),
        pytest.param(FROM_SLOT.pack(Verb.RUN, 0, 0, 0, 0), id="a word that only its parent says"),
        pytest.param(FROM_SLOT.pack(Verb.RESULTS, 0, 1, 2**32 - 1, 1), id="four gigabytes of results"),
        pytest.param(FROM_SLOT.pack(Verb.PREPARED, 1, 0, 3, 0) + b"\x81\xa5f", id="an answer that cannot be read"),
        pytest.param(FROM_SLOT.pack(Verb.PREPARED, 1, 0, 5000, 0) + b"\x91" * 5000, id="an answer nested too deep"),
    ],
)
def test_a_slot_that_lies_is_killed_and_its_member_is_not_used_again(
    said: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def become_liar(wiring: SlotWiring, _: int) -> None:
        wiring.stream.sendall(said)
        signal.pause()
        os._exit(0)

    async def story() -> None:
        tainted: list[bool] = []
        home = SlotHome(tmp_path, {}, no_supplies, lambda: tainted.append(True), lambda: None, Brim(tmp_path))
        slot = slots.Slot(0, home)
        with pytest.raises(LeaseGridError, match="ended before it stood"):
            await slot.start()
        assert (slot.pid, bool(tainted)) == (0, True)
        await slot.close()

    monkeypatch.setattr(slots, "become_slot", become_liar)
    asyncio.run(story())
