"""Runs examples as a user does: `leasegrid run`, then the example's own check. The state directory is the test's."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
LEASEGRID = Path(sys.executable).with_name("leasegrid")
SECONDS = 900


def run_job(job: Path, results: Path, state: Path) -> dict[str, Any]:
    """Runs the YAML; returns its job's part of the JSON document. Fails the test when the run does."""
    command = [str(LEASEGRID), "run", str(job), "--results", str(results), "--json"]
    environment = os.environ | {"XDG_STATE_HOME": str(state)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}\n{ended.stderr}"
    (job_part,) = json.loads(ended.stdout)["jobs"]
    assert isinstance(job_part, dict)
    return job_part


def check(script: Path, *arguments: Path) -> str:
    """Runs an example's check; returns what it says. Fails the test when the check does."""
    command = [sys.executable, str(script), *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert ended.returncode == 0, f"{' '.join(command)}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def make_modules(example: str) -> None:
    """Takes the example's foreign modules out of their packages, once. Skips without a registry, except in CI."""
    command = ["make", "-C", str(EXAMPLES / example), "modules", f"PYTHON={sys.executable}"]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if ended.returncode == 0:
        return
    said = f"the packages of examples/{example}/modules.txt cannot be fetched:\n{ended.stderr}"
    if os.environ.get("CI"):
        pytest.fail(said)
    pytest.skip(said)
