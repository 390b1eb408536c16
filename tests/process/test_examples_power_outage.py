"""The example that loses its power computes the same digits, and passes its own check."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.process.example_runs import EXAMPLES, SECONDS, check

pytestmark = pytest.mark.timeout(900)

FOLDER = EXAMPLES / "power-outage"


@pytest.mark.unhappy("the power is cut while a step() module runs")
def test_a_stepping_module_whose_power_is_cut_ends_with_the_digits_of_an_undisturbed_run(tmp_path: Path) -> None:
    told = _cut("module", tmp_path, cuts=2)
    assert 1 <= told.count("POWER CUT") <= 2, told
    assert "goes on after step" in told
    assert "right:" in check(FOLDER / "check.py", tmp_path / "module" / "disturbed" / "results", Path("module"))


@pytest.mark.unhappy("the power is cut while a Python tasklet with /durable runs")
def test_a_python_program_whose_power_is_cut_ends_with_the_digits_of_an_undisturbed_run(tmp_path: Path) -> None:
    assert "goes on after step" in _cut("python", tmp_path, cuts=1)
    assert "right:" in check(FOLDER / "check.py", tmp_path / "python" / "disturbed" / "results", Path("python"))


def _cut(job: str, where: Path, cuts: int) -> str:
    command = [sys.executable, str(FOLDER / "outage.py"), "--only", job, "--cuts", str(cuts), str(where)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    assert "the same digits as undisturbed" in ended.stdout
    return ended.stdout
