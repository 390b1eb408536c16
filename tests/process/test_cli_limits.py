"""Limits of the shell under which nothing can run are said at once, and nothing is started."""

import resource
from pathlib import Path

import pytest

from leasegrid.cli.limits import ADDRESS_SPACE_BYTES
from tests.process import cli_jobs
from tests.support.listing import leftovers
from tests.support.running import Place, leasegrid


@pytest.mark.unhappy("an address space too small for the engine: a clear line, instead of workers that abort for ever")
def test_a_limit_on_address_space_is_named_with_its_remedy(tmp_path: Path) -> None:
    place = Place(tmp_path)
    file = cli_jobs.write(place, cli_jobs.job("hello"))
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES - 1, before[1]))
    try:
        with leasegrid(place, "run", file) as running:
            ended = running.wait(30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)

    assert ended.code == 3, str(ended)
    assert "(ulimit -v)" in ended.error
    assert leftovers(place.root, place.runtime, place.scratch).nothing
