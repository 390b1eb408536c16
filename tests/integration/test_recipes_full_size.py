"""The full-size YAML of the recipes: fifty leases of two cores, of stand-ins, and all else real: operator, coordinator,
stores, and the command that submits.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.control_plane import ControlPlane
from tests.integration.job_desk import JobDesk, job_desk
from tests.process.example_runs import EXAMPLES

pytestmark = pytest.mark.timeout(300)

MEMBERS = 50
MODULES = 120
"""Of the standard library: enough that every core of the farm has one."""


@pytest.fixture(scope="module")
def user(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobDesk]:
    """Somebody with a command line and the examples, in a cluster of stand-ins."""
    with job_desk(controlled, tmp_path_factory.mktemp("recipes"), members=0, pretends=True) as made:
        yield made


def folder_of(recipe: str, home: Path) -> Path:
    """A copy of the example, with what its Makefile prepares."""
    folder = home / recipe
    shutil.copytree(EXAMPLES / recipe, folder, ignore=shutil.ignore_patterns("stdlib", "modules", "results*"))
    if recipe == "build-farm":
        subprocess.run([sys.executable, str(folder / "prepare.py")], check=True)
        for path in sorted((folder / "stdlib").rglob("*.py"))[MODULES:]:
            path.unlink()
    return folder


@pytest.mark.parametrize(
    ("recipe", "pool", "plural"),
    [
        pytest.param("pop-up-supercomputer", "supercomputer", "jobs", id="a pop-up supercomputer"),
        pytest.param("build-farm", "farm", "jobs", id="a build farm of a hundred cores"),
        pytest.param("power-outage", "outage", "jobs", id="a computation that survives a power cut"),
        pytest.param("mapreduce", "words", "taskgraphs", id="a word count without clean-up"),
    ],
)
def test_at_full_size_fifty_members_are_leased_all_is_done_and_none_is_left(
    user: JobDesk, recipe: str, pool: str, plural: str
) -> None:
    rig = user.house.rig
    file = folder_of(recipe, user.home) / "full-size.yaml"
    ended = user.desk.run("submit", str(file), "--results", str(user.home / f"out-{recipe}"), "--json")

    assert ended.code == 0, str(ended)
    (job,) = json.loads(ended.out)["jobs"]
    assert max(leased for _, leased, _, _ in job["timeline"]) == MEMBERS + (plural == "taskgraphs"), "and a shuffle's"
    assert job["timeline"][-1][1] == 0
    assert job["receipt"]["unverified"] == []
    assert rig.condition(pool, "Complete", plural)["status"] == "True"
    rig.until_members(pool, ready=MEMBERS)
    rig.wait(user.stores, lambda seen: not seen, "no store is left")
    rig.until_gone("persistentvolumeclaims")
    for kind, name in ((plural, pool), ("instancepools", pool)):
        rig.delete(kind, name)
    for kind in ("leases", "pods"):
        rig.until_gone(kind)
