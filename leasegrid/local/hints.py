"""Where members say what became of them: a unix datagram socket in the runtime directory.

A hint is only a hint, but on one machine nobody can write to the socket except this user's own processes, and the
member itself arbitrates every bind; so a hint of `ready` is enough to try one.
"""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

import msgspec

from tasklet_runner.wire.member import Hint


class HintListener(asyncio.DatagramProtocol):
    """Calls back for each hint that can be read; anything else is dropped, as `/v1/state` decides anyway."""

    def __init__(self, on_hint: Callable[[Hint], None]) -> None:
        self._on_hint = on_hint
        self._transport: asyncio.BaseTransport | None = None

    @classmethod
    async def open(cls, path: Path, on_hint: Callable[[Hint], None]) -> "HintListener":
        """Listen at this path, which must not exist yet."""
        loop = asyncio.get_running_loop()
        _, listener = await loop.create_datagram_endpoint(
            lambda: cls(on_hint), local_addr=str(path), family=socket.AF_UNIX
        )
        return listener

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = transport

    def datagram_received(self, data: bytes, addr: object) -> None:
        """Called by asyncio for each datagram."""
        try:
            hint = msgspec.json.decode(data, type=Hint)
        except msgspec.MsgspecError:
            return
        self._on_hint(hint)

    def close(self) -> None:
        """Stop listening; a second call does nothing."""
        if self._transport is not None:
            self._transport.close()
