"""Events of a watch, taken off its stream as they come: what watches goes on with marks of how far it has come.

Behind its watch kopf has a queue and a task for each object, and wraps each event several times before a handler sees
it: more than a quarter of what a claim cost the operator. Handlers that retry, patch and keep state need that; here
are none. So kopf keeps what it does well, the list, the resumption, the back-off, and is shown bookmarks
(https://kubernetes.io/docs/reference/using-api/api-concepts/#watch-bookmarks) in the events' place.
"""

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import StreamReader

from leasegrid_operator.logs import Action, log
from tasklet_runner.wire.decoding import UNREADABLE

Event = Mapping[str, Any]

_CHANGES = frozenset({"ADDED", "MODIFIED", "DELETED"})

AT_ONCE = 16
"""Events that are taken in one turn of the event loop: thousands may come at once, and others have work too."""

_logger = logging.getLogger(__name__)


class TappedStream:
    """The body of a watch. `ready` is awaited before events are handed over; `take` gets each and says whether it is
    done with: one that is not goes on to whoever reads the stream, as all does that is no change of an object.
    """

    def __init__(
        self, stream: StreamReader, ready: Callable[[], Awaitable[None]], take: Callable[[Event], bool]
    ) -> None:
        self._stream = stream
        self._ready = ready
        self._take = take

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever else a stream has
        return getattr(self._stream, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Pieces of the stream that remains: whole lines, but for what is left where it breaks off."""
        rest = b""
        async for piece in self._stream.iter_chunked(size):
            *lines, rest = (rest + piece).split(b"\n")
            for start in range(0, len(lines), AT_ONCE):
                await (self._ready() if start == 0 else asyncio.sleep(0))
                yield self._passed([line for line in lines[start : start + AT_ONCE] if line])
        if rest:
            yield rest

    def _passed(self, lines: list[bytes]) -> bytes:
        passed: list[bytes] = []
        version = ""
        for line in lines:
            event = _decoded(line)
            if event.get("type") in _CHANGES and self._taken(event):
                version = event["object"]["metadata"]["resourceVersion"]
            else:
                passed += [_bookmark(version)] * bool(version) + [line]
                version = ""
        return b"\n".join([*passed, *[_bookmark(version)] * bool(version), b""])

    def _taken(self, event: Event) -> bool:
        try:
            return self._take(event)
        except Exception:  # noqa: BLE001 - the edge: what one object does to us must not end the watch of all others
            name = event["object"]["metadata"]["name"]
            error = traceback.format_exc()
            log(_logger, logging.ERROR, Action.EVENT_FAILED, f"an event of {name} was not taken", error=error)
            return True


def _decoded(line: bytes) -> dict[str, Any]:
    try:
        event: dict[str, Any] = msgspec.json.decode(line, type=dict)
    except UNREADABLE:
        return {}  # not for us to judge
    return event


def _bookmark(version: str) -> bytes:
    return msgspec.json.encode({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": version}}})
