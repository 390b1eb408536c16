"""The recipes of examples/ on a cluster: from YAML alone, each checked by its own check, and gone without a trace."""

import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.kind_rig import Kind
from tests.e2e.recipes import Recipe
from tests.e2e.rooms import Room, room
from tests.process.example_runs import EXAMPLES, check, run_job
from tests.support.running import REPOSITORY

POOL = REPOSITORY / "examples" / "cluster" / "pool.yaml"
WARM = {"cpu": 5}
PACKAGES = {"json", "logging", "textwrap.py"}
"""Of the standard library: what two cores compile in some seconds."""


@pytest.fixture(scope="module")
def shop(cluster: Kind) -> Iterator[Room]:
    """A namespace with the pool of README.md."""
    with room(cluster, f"recipes-{secrets.token_hex(3)}") as made:
        made.kubectl("apply", f"--filename={POOL}")
        made.until_members("cpu", ready=WARM["cpu"])
        yield made


@pytest.fixture
def recipe(shop: Room, tmp_path: Path) -> Recipe:
    """A user there, who has run nothing yet."""
    return Recipe(shop, tmp_path)


def test_a_pop_up_supercomputer_draws_its_picture_and_is_gone(recipe: Recipe) -> None:
    folder = EXAMPLES / "pop-up-supercomputer"
    (job,) = recipe.submit(folder / "fractal.yaml")
    assert check(folder / "check.py", recipe.outputs / "out").startswith("right:")
    assert max(leased for _, leased, _, _ in job["timeline"]) > 1
    recipe.check_ended(job, "lgjob")
    recipe.check_nothing_left(**WARM)


def test_a_build_farm_compiles_its_modules_and_is_gone(recipe: Recipe, tmp_path: Path) -> None:
    folder = tmp_path / "build-farm"
    shutil.copytree(EXAMPLES / "build-farm", folder, ignore=shutil.ignore_patterns("stdlib", "modules", "results*"))
    subprocess.run([sys.executable, str(folder / "prepare.py")], check=True)
    for path in (folder / "stdlib").iterdir():
        if path.name not in PACKAGES:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (job,) = recipe.submit(folder / "farm.yaml")
    assert check(folder / "check.py", recipe.outputs / "out").startswith("right:")
    recipe.check_ended(job, "lgjob")
    recipe.check_nothing_left(**WARM)


def test_a_word_count_and_a_join_need_no_clean_up(recipe: Recipe) -> None:
    folder = EXAMPLES / "mapreduce"
    graphs = recipe.submit(folder / "wordcount.yaml", folder / "join.yaml")
    assert check(folder / "check.py", recipe.outputs / "out").count("right:") == len(graphs)
    for graph in graphs:
        recipe.check_ended(graph, "lggraph")
    recipe.check_nothing_left(**WARM)


@pytest.mark.unhappy("a computation on a cluster loses its coordinator and all its workers at once")
def test_a_computation_whose_pods_are_killed_ends_with_the_digits_of_one_machine(
    recipe: Recipe, tmp_path: Path
) -> None:
    folder, name, room = EXAMPLES / "power-outage", "power-outage-module", recipe.room
    room.leasegrid("submit", str(folder / "module.yaml"))
    room.cluster.wait(
        lambda: room.status("lgjob", name).get("chunks", {}).get("succeeded", 0), bool, "the short estimate is done"
    )
    held = [pod for one in room.all("lglease") if not one["metadata"]["name"].endswith("-store")
            for pod in room.held(one["metadata"]["name"])]  # fmt: skip
    room.kubectl("delete", "pod", *held, "--grace-period=0", "--force")
    room.leasegrid("watch", name, "--results", str(tmp_path / "out"))
    assert room.status("lgjob", name)["coordinatorGeneration"] > 1
    assert check(folder / "check.py", tmp_path / "out", Path("module")).startswith("right:")
    run_job(folder / "module.yaml", tmp_path / "here", tmp_path / "state")
    for chunk in sorted(path.parent.name for path in (tmp_path / "here").glob("*/stdout")):
        assert (tmp_path / "out" / chunk / "stdout").read_bytes() == (tmp_path / "here" / chunk / "stdout").read_bytes()
    recipe.check_nothing_left(**WARM)
