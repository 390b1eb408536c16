"""The end of a command that was stopped before it began: it imports next to nothing, as it comes before everything."""

import os
from types import FrameType
from typing import NoReturn

NOTHING_RAN = "leasegrid: stopped before anything ran; nothing is left"
"""What is said of a command that was stopped before it began."""


def end_at_once(number: int, _frame: FrameType | None = None) -> NoReturn:
    """End the process, as one that was stopped by this signal and has nothing to undo."""
    try:
        os.write(2, f"{NOTHING_RAN}\n".encode())
    finally:
        os._exit(128 + number)
