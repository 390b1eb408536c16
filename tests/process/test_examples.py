"""Every example runs by the command of its README, and passes its own check against an independent computation."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.example_runs import EXAMPLES, check, make_modules, run_job

pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def farm(tmp_path: Path) -> Path:
    """A copy of the build farm, of which a test may change the modules."""
    folder = tmp_path / "build-farm"
    shutil.copytree(EXAMPLES / "build-farm", folder, ignore=shutil.ignore_patterns("stdlib", "modules", "results*"))
    subprocess.run([sys.executable, str(folder / "prepare.py")], check=True)
    return folder


def test_a_fractal_of_1024_tiles_becomes_the_picture_that_python_computes(tmp_path: Path) -> None:
    folder = EXAMPLES / "pop-up-supercomputer"
    job = run_job(folder / "fractal.yaml", tmp_path / "results", tmp_path / "state")
    assert job["chunks"] == {"total": 1025, "succeeded": 1025, "failed": 0, "retried": 0, "cached": 0, "skipped": 0}
    assert check(folder / "check.py", tmp_path / "results").startswith("right:")


def test_the_committed_list_of_tiles_is_what_its_generator_writes() -> None:
    check(EXAMPLES / "pop-up-supercomputer" / "generate.py", Path("--check"))


@pytest.mark.usefixtures("shipped_python")
def test_a_second_run_of_the_build_farm_compiles_only_the_module_that_changed(farm: Path, tmp_path: Path) -> None:
    first = run_job(farm / "farm.yaml", tmp_path / "first", tmp_path / "state")
    assert check(farm / "check.py", tmp_path / "first").startswith("right:")

    with (farm / "stdlib" / "textwrap.py").open("a", encoding="utf-8") as module:
        module.write("\n\nimport this_is_never_used\n")
    second = run_job(farm / "farm.yaml", tmp_path / "second", tmp_path / "state")
    assert check(farm / "check.py", tmp_path / "second").startswith("right:")

    assert first["stages"][0]["cached"] == 0
    assert second["stages"][0]["cached"] == second["stages"][0]["total"] - 1


def test_a_compiler_that_is_a_wasi_module_makes_what_it_makes_on_bare_wasmtime(tmp_path: Path) -> None:
    make_modules("build-farm")
    job = EXAMPLES / "build-farm" / "wasi-compiler.yaml"
    run_job(job, tmp_path / "results", tmp_path / "state")
    assert "right: every byte" in check(EXAMPLES / "compare.py", job, tmp_path / "results")
