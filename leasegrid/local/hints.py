"""Where members say what became of them: a unix datagram socket in the runtime directory.

A hint is only a hint: a kernel queues ten datagrams (`net.unix.max_dgram_qlen`), a member keeps its newest until there
is room, and the keeper asks members that have been silent for a while.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec

from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.member import Hint

MAX_HINT_BYTES = 4096


class HintListener:
    """Calls back for each hint that can be read; anything else is dropped. Needs a running event loop."""

    def __init__(self, path: Path, on_hint: Callable[[Hint], None]) -> None:
        self._on_hint = on_hint
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.bind(str(path))
        except OSError:
            self._socket.close()
            raise
        asyncio.get_running_loop().add_reader(self._socket, self._drain)

    def close(self) -> None:
        """Stop listening; a second call does nothing."""
        if self._socket.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()

    def _drain(self) -> None:
        # All that is queued at once, as the queue is short and senders wait.
        with contextlib.suppress(BlockingIOError):
            while True:
                data = self._socket.recv(MAX_HINT_BYTES)
                with contextlib.suppress(*UNREADABLE):
                    self._on_hint(msgspec.json.decode(data, type=Hint))
