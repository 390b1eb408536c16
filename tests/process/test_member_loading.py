"""A program that no process of a slot survives is refused for good, not tried for ever."""

import asyncio
import resource
from pathlib import Path

import pytest

from tasklet_runner.wire.faults import FaultKind
from tasklet_runner.wire.work import PrepareFailed
from tests.support import wat
from tests.support.members import leased, prepare

TOO_SMALL_FOR_AN_ENGINE = 1 << 30
"""Address space in bytes; the engine reserves a hundred times as much."""


@pytest.mark.unhappy("a slot dies each time that it loads the program")
def test_a_program_that_kills_each_slot_that_loads_it_is_unsupported(tmp_path: Path) -> None:
    async def story() -> None:
        async with leased(tmp_path) as (rig, _, connection):
            assert rig.process is not None
            for pid in [rig.process.pid, *rig.slot_pids()]:
                resource.prlimit(pid, resource.RLIMIT_AS, (TOO_SMALL_FOR_AN_ENGINE, TOO_SMALL_FOR_AN_ENGINE))

            answer = await prepare(connection, wat.echo())

            assert isinstance(answer, PrepareFailed)
            assert answer.fault.kind is FaultKind.UNSUPPORTED, answer.fault
            assert answer.fault.remedy

    asyncio.run(story())
