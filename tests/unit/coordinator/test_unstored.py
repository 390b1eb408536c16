"""An output that a member could not put: at no charge where the store was away, and charged to the chunk where not."""

import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest

from tasklet_runner.coordinator.chunk import Chunk
from tasklet_runner.coordinator.handles import Held
from tasklet_runner.coordinator.lanes import Lane
from tasklet_runner.coordinator.unstored import Unstored
from tasklet_runner.store.protocol import JobStore
from tasklet_runner.wire.errors import StoreError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Outcome

OLD, NEW = "http://old:8080", "http://new:8080"
GONE = Fault(kind=FaultKind.DISCONNECTED, message="cannot connect")


@dataclass
class Away:
    """A store that answers once `back` is set, from then on at another address; or never."""

    moves: bool
    broken: bool = False
    endpoint: str = OLD
    back: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0

    async def used_bytes(self) -> int:
        self.asked += 1
        await self.back.wait()
        if self.broken:
            raise StoreError("it has not answered for 60 s")
        self.endpoint = NEW if self.moves else OLD
        return 0


@pytest.mark.unhappy("members cannot put large outputs while a job's store is being followed by another")
@pytest.mark.parametrize(
    ("moves", "broken", "told"),
    [
        pytest.param(True, False, ["moved"] * 3, id="a store that came back elsewhere costs its chunks no retry"),
        pytest.param(False, False, ["failed"] * 3, id="one that was there the whole time does: the way is broken"),
        pytest.param(False, True, ["failed"] * 3, id="and so does one that does not come back"),
    ],
)
def test_who_pays_for_outputs_that_could_not_be_put(moves: bool, broken: bool, told: list[str]) -> None:
    async def run() -> tuple[list[str], int]:
        heard: list[str] = []
        store = Away(moves, broken)
        unstored = Unstored(
            cast(JobStore, store), lambda held: heard.append("moved"), lambda held, fault: heard.append("failed")
        )
        for _ in range(2):
            unstored.take(granted(OLD), GONE)
        await asyncio.sleep(0)
        unstored.take(granted(OLD), GONE)
        store.back.set()
        async with asyncio.timeout(30):
            while len(heard) < 3:  # noqa: ASYNC110 - what is waited for is another task of this loop
                await asyncio.sleep(0.001)
        return heard, store.asked

    heard, asked = asyncio.run(run())
    assert (heard, asked) == (told, 2)


def granted(endpoint: str) -> Held:
    return Held(cast(Lane, None), cast(Chunk, None), Outcome(), endpoint)
