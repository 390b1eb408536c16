"""The member's log, on stderr: lines that would have to wait are dropped and counted.

A container's stderr is a pipe to somebody who writes logs to a disk. A member that waits for him serves no bind, keeps
no deadline and does not end; and what is logged of a stranger's mishap, a stranger can repeat as often as he likes.
"""

import logging
import os
import select

_STDERR = 2
_LINE_BYTES = select.PIPE_BUF
"""A pipe that takes anything takes so much at once (pipe(7))."""

_CUT = b" [...] "
_BEGINNING = 1024


class UnwaitingHandler(logging.Handler):
    """Writes each record in one piece, if that can be done at once. `dropped`: those since the last one that could."""

    def __init__(self, descriptor: int = _STDERR) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, or count it."""
        if self._written(self.format(record)):
            self.dropped = 0
        else:
            self.dropped += 1

    def _written(self, words: str) -> bool:
        if not any(event & select.POLLOUT for _, event in self._room.poll(0)):
            return False
        before = f"({self.dropped} lines were dropped, as nobody read)\n" if self.dropped else ""
        try:
            os.write(self._descriptor, _clipped(f"{before}{words}\n".encode(errors="backslashreplace")))
        except OSError:
            return False
        return True


def _clipped(line: bytes) -> bytes:
    """Its beginning, which says what it is about, and its end, where a traceback says what happened."""
    if len(line) <= _LINE_BYTES:
        return line
    return line[:_BEGINNING] + _CUT + line[len(line) - (_LINE_BYTES - _BEGINNING - len(_CUT)) :]


def log_to_stderr() -> None:
    """Have all that is logged in this process written so."""
    logging.getLogger().handlers[:] = [UnwaitingHandler()]
