"""Changes are taken off the stream of a watch; what is left tells whoever watches how far it has come."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from aiohttp import StreamReader

from leasegrid_operator.tapping import AT_ONCE, Event, TappedStream


class Stream:
    """A body in these pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = pieces

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece

    def exception(self) -> str:
        return "mine"


def line(kind: str, version: int, name: str = "a") -> bytes:
    return json.dumps({"type": kind, "object": {"metadata": {"name": name, "resourceVersion": str(version)}}}).encode()


def read(*pieces: bytes, leave: str = "") -> tuple[list[str], list[dict[str, Any]]]:
    """What was taken, as type and version, and what went on, from a body; `leave` is left to go on."""
    taken: list[str] = []

    def take(event: Event) -> bool:
        said = f"{event['type']} {event['object']['metadata']['resourceVersion']}"
        if event["type"] != leave:
            taken.append(said)
        return bool(event["type"] != leave)

    async def ready() -> None:
        taken.append("ready") if not taken else None

    async def run() -> bytes:
        stream = TappedStream(cast(StreamReader, Stream(*pieces)), ready, take)
        return b"".join([piece async for piece in stream.iter_chunked(1024)])

    passed = asyncio.run(run()).splitlines()
    return taken, [json.loads(one) for one in passed]


def bookmark(version: int) -> dict[str, Any]:
    return {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str(version)}}}


def test_changes_are_taken_in_their_order_and_a_mark_of_the_last_one_goes_on() -> None:
    body = b"\n".join([line("ADDED", 1), line("MODIFIED", 2), line("DELETED", 3), b""])

    assert read(body) == (["ready", "ADDED 1", "MODIFIED 2", "DELETED 3"], [bookmark(3)])


def test_an_event_in_pieces_is_one_event() -> None:
    body = line("ADDED", 1) + b"\n" + line("MODIFIED", 2) + b"\n"

    taken, passed = read(*(body[at : at + 7] for at in range(0, len(body), 7)))

    assert taken == ["ready", "ADDED 1", "MODIFIED 2"]
    assert passed == [bookmark(1), bookmark(2)]


@pytest.mark.parametrize("kind", ["BOOKMARK", "ERROR", "DELETED"])
def test_what_is_not_taken_goes_on_in_its_place(kind: str) -> None:
    body = b"\n".join([line("ADDED", 1), line(kind, 2), line("ADDED", 3), b""])

    taken, passed = read(body, leave="DELETED")

    assert taken == ["ready", "ADDED 1", "ADDED 3"]
    assert passed == [bookmark(1), json.loads(line(kind, 2)), bookmark(3)]


def test_thousands_at_once_are_taken_in_turns() -> None:
    count = 3 * AT_ONCE + 1

    taken, passed = read(b"".join(line("ADDED", version) + b"\n" for version in range(count)))

    assert taken[1:] == [f"ADDED {version}" for version in range(count)]
    assert passed[-1] == bookmark(count - 1)


@pytest.mark.unhappy("an object that the operator cannot read: the watch of all others goes on")
def test_an_event_that_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def take(event: Event) -> bool:
        raise KeyError("spec")

    async def ready() -> None:
        pass

    async def run() -> list[bytes]:
        stream = TappedStream(cast(StreamReader, Stream(line("ADDED", 1) + b"\n")), ready, take)
        return [piece async for piece in stream.iter_chunked(1024)]

    assert [json.loads(one) for one in asyncio.run(run())] == [bookmark(1)]
    assert "an event of a was not taken" in caplog.text


def test_a_line_that_breaks_off_is_left_to_whoever_reads() -> None:
    async def run() -> list[bytes]:
        stream = TappedStream(cast(StreamReader, Stream(b'{"type": "ADD')), lambda: asyncio.sleep(0), lambda _: True)
        return [piece async for piece in stream.iter_chunked(1024)]

    assert asyncio.run(run()) == [b'{"type": "ADD']


def test_all_else_that_a_stream_has_is_the_streams_own() -> None:
    stream = TappedStream(cast(StreamReader, Stream()), lambda: asyncio.sleep(0), lambda _: True)

    assert stream.exception() == "mine"
