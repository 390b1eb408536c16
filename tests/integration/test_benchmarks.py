"""The benchmark of claims runs, with numbers so small that its figures say nothing."""

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
    written = tmp_path / "table.md"
    rows = [word for row in ROWS for word in ("--row", row)]
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.claims", "--smallest", "--write", str(written), *rows],
        cwd=ROOT,
        env={**os.environ, "KUBEBUILDER_ASSETS": str(plane.assets), "PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    table = written.read_text(encoding="utf-8")
    assert "| left over | 0 leases, 0 members under lease, 0 members bound twice |" in table
    assert "failed (" not in table
    assert table == ended.stdout
