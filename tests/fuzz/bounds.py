"""No input may cost much: of the processor, whose time does not depend on who else runs here, or of memory."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

SECONDS = 10.0
"""Of the processor, for one input: what takes so long would take a thousand times as long as any honest one."""

HEADROOM_BYTES = 1 << 30
"""So much more than before may be mapped: a length of 4 GiB that is believed fails at once."""


class TooSlowError(BaseException):
    """An input kept the processor busy for SECONDS. Not an Exception: nothing on the way may take it for its own."""


@contextmanager
def bounded_memory() -> Iterator[None]:
    """Whoever asks for much more than HEADROOM_BYTES in the block gets MemoryError."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = pages * resource.getpagesize() + HEADROOM_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def bounded_time() -> Iterator[None]:
    """Raises TooSlowError in the block when it takes SECONDS of the processor. Of the main thread alone."""
    before = signal.signal(signal.SIGPROF, _too_slow)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _too_slow(_: int, __: FrameType | None) -> None:
    raise TooSlowError(f"an input took more than {SECONDS:.0f} s of the processor")
