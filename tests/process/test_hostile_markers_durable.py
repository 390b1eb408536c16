"""Nothing that a tasklet leaves in /durable is read but by the attempts that go on from it."""

import asyncio
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.wire.programs import Durable, Outcome, Task
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import CheckpointGrant
from tests.hostile.desk import Desk, Held, Holder
from tests.hostile.markers import HUNT, MARKER, REST, in_files, prepared
from tests.process.test_member_durable import Keeping, keeping
from tests.support.members import PATIENCE_SECONDS, member
from tests.support.served_stores import NOW

pytestmark = [pytest.mark.timeout(600), pytest.mark.usefixtures("compiled_python")]

ARGUMENTS = ("--slots", "1", "--memory", str(1 << 30))
CHUNK = "main/0"


async def leave(held: Held, durable: Durable) -> None:
    """A tasklet that is in the midst of it when its holder's connection ends; a checkpoint of it is kept."""
    desk = await held.another()
    python = await desk.give_python()
    environment = (("MARKER", MARKER.decode()),)
    rest = await prepared(desk, REST.encode(), python, durable=True, environment=environment)
    running = asyncio.create_task(desk.run(rest, 0, [Task(0, 1, "0-x", MARKER, durable=durable)]))
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert (await desk.kept.get()).fault is None
    running.cancel()
    await desk.close()


async def look(desk: Desk, *wanted: Durable) -> list[Outcome]:
    """What a tasklet that reads whatever it can came to, beginning with each of these checkpoints."""
    script = await prepared(desk, HUNT.encode(), await desk.give_python(), durable=True)
    outcomes = []
    for number, durable in enumerate(wanted):
        results, _ = await desk.run(script, 0, [Task(number, 1, f"{number}-x", durable=durable)])
        outcomes.append(results[0].outcome)
    return outcomes


def forged(kept: Keeping) -> Durable:
    """The chunk of the other, under a grant that its coordinator did not sign."""
    grant = CheckpointGrant(store=kept.store.uid, term=1, key=CHUNK, epoch=9, max_bytes=1 << 24, expires_at=NOW + 1)
    return Durable(kept.store.endpoint, sign(grant, Ed25519PrivateKey.generate()), CHUNK)


@pytest.mark.unhappy("the next holder of a member, and the next job, look for what was left in /durable")
def test_what_was_left_in_durable_is_found_by_the_next_attempt_and_by_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "member").mkdir()

    async def story() -> None:
        async with (
            member(tmp_path / "member", *ARGUMENTS) as (rig, client),
            keeping(tmp_path / "kept") as kept,
            keeping(tmp_path / "other") as other,
        ):
            async with Holder("planter").holding(rig, client) as held:
                await leave(held, kept.durable(CHUNK))
                (again,) = await look(held.desk, kept.durable(CHUNK, epoch=2))
                assert again.fault is None
                assert MARKER in again.stdout
            assert in_files(rig.scratch) == []
            assert in_files(tmp_path / "kept")
            async with Holder("hunter").holding(rig, client) as held:
                fenced, stolen, neighbour, next_job = await look(
                    held.desk, kept.durable(CHUNK), forged(kept), kept.durable("main/1"), other.durable(CHUNK)
                )
                assert [one.fault is None for one in (fenced, stolen, neighbour, next_job)] == [
                    False,
                    False,
                    True,
                    True,
                ]
                for one in (fenced, stolen, neighbour, next_job):
                    assert MARKER not in one.stdout + one.stderr + str(one.fault).encode()
            assert in_files(rig.scratch) == []
            assert in_files(tmp_path / "other") == []

    asyncio.run(story())
