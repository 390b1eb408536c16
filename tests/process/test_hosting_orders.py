"""A coordinator's process that is given an order which it cannot read."""

import subprocess
import sys
from pathlib import Path

import pytest

from tasklet_runner.hosting.process import EXIT_UNREADABLE, WORDS

PROGRAM = """
import sys
from pathlib import Path
from tasklet_runner.hosting.process import become_coordinator
become_coordinator(bytes.fromhex(sys.argv[1]), Path(sys.argv[2]))
"""


@pytest.mark.unhappy("an order that the coordinator's process cannot read")
def test_a_process_whose_order_cannot_be_read_says_so_in_a_line(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, b"\xc1 no order".hex(), str(tmp_path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert ended.returncode == EXIT_UNREADABLE
    assert ended.stderr.startswith("coordinator: the coordinator's order cannot be read")
    assert ended.stderr.count("\n") == 1
    assert "one version" in WORDS[EXIT_UNREADABLE]
