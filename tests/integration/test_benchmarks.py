"""The benchmarks on a control plane run, with numbers so small that their figures say nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.control_plane import ControlPlane

ROOT = Path(__file__).parents[2]
ROWS = ("sustained", "bursts", "single_use", "expiry", "many")


@pytest.mark.timeout(300)
def test_the_benchmark_of_claims_prints_its_rows_and_leaves_nothing_over(plane: ControlPlane, tmp_path: Path) -> None:
    table = _table(plane, tmp_path, "benchmarks.claims", *(word for row in ROWS for word in ("--row", row)))
    assert "| left over | 0 leases, 0 members under lease, 0 members bound twice |" in table
    assert "failed (" not in table


@pytest.mark.timeout(300)
def test_the_benchmark_of_jobs_prints_its_rows_and_its_receipt_is_right(plane: ControlPlane, tmp_path: Path) -> None:
    table = _table(plane, tmp_path, "benchmarks.jobs")
    figure = "| 5 members, 10 tasklets, 1 volumes, 0 unverified | 5 members, 10 tasklets, 1 volume, 0 left |"
    assert f"| its receipt, beside a listing {figure}" in table
    assert "| 2 jobs of one chunk at once |" in table


def _table(plane: ControlPlane, directory: Path, module: str, *options: str) -> str:
    """What the smallest run prints, and writes into a file."""
    written = directory / "table.md"
    ended = subprocess.run(
        [sys.executable, "-m", module, "--smallest", "--write", str(written), *options],
        cwd=ROOT,
        env={**os.environ, "KUBEBUILDER_ASSETS": str(plane.assets), "PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    table = written.read_text(encoding="utf-8")
    assert table == ended.stdout
    return table
