"""What the processes of a member ask of the kernel (Linux)."""

import ctypes
import os
import signal
from collections.abc import Iterable

from tasklet_runner.wire.errors import UnsupportedError

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Be killed when the parent ends, however it ends; ends at once when it has ended already."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def make_undumpable() -> None:
    """No core, no debugger and no look into its memory by others of the same user: it holds keys."""
    _prctl(_PR_SET_DUMPABLE, 0)


def make_dumpable() -> None:
    """Undo `make_undumpable` in a child: its own /proc/self/fd is unreadable otherwise."""
    _prctl(_PR_SET_DUMPABLE, 1)


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor that was inherited, but these."""
    first = 0
    for descriptor in sorted(keep):
        if descriptor > first:  # an empty range at 0 would close everything
            os.closerange(first, descriptor)
        first = descriptor + 1
    os.closerange(first, 1 << 20)


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        error = os.strerror(ctypes.get_errno())
        raise UnsupportedError(f"prctl({option}, {value}): {error}", remedy="members need Linux 3.x or later")
