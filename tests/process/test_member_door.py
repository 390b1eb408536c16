"""The door of a real member takes every HTTP/1.1 request, whichever way it goes inside."""

import asyncio
from pathlib import Path

import msgspec

from tasklet_runner.wire.member import BindReply, ErrorReply, SignedRequest, StateReport
from tests.support.members import MemberRig, member

STATE = b"GET /v1/state HTTP/1.1\r\nHost: m\r\n\r\n"


class Visitor:
    """One connection, by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def of(cls, rig: MemberRig) -> "Visitor":
        return cls(*await asyncio.open_unix_connection(rig.endpoint.removeprefix("unix://")))

    async def say(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._writer.write(piece)
            await self._writer.drain()
            await asyncio.sleep(0.05)

    async def hear(self) -> tuple[int, bytes]:
        async with asyncio.timeout(20):
            head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            return int(head.split()[1]), await self._reader.readexactly(length)

    async def close(self) -> None:
        self._writer.close()
        await self._writer.wait_closed()


def posted(verb: str, body: bytes, *fields: str) -> bytes:
    lines = (f"POST /v1/{verb} HTTP/1.1", "Host: m", f"Content-Length: {len(body)}", *fields, "")
    return "".join(f"{line}\r\n" for line in lines).encode() + body


def test_a_bind_is_the_same_whole_in_pieces_in_chunks_and_beside_others(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path) as (rig, client):
            state = await rig.ready(client)
            body = msgspec.json.encode(SignedRequest(rig.signed(rig.bind(state))))
            whole = posted("bind", body)
            chunks = (
                b"POST /v1/bind HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: chunked\r\n\r\n",
                b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body),
            )
            ways = [(whole,), (whole[:100], whole[100:]), (whole[:-7], whole[-7:]), chunks, (whole + STATE,)]
            replies = []
            for pieces in ways:
                visitor = await Visitor.of(rig)
                await visitor.say(*pieces)
                status, reply = await visitor.hear()
                replies.append((status, msgspec.json.decode(reply, type=BindReply)))
                await visitor.close()
            assert replies == [replies[0]] * len(ways)
            assert replies[0][0] == 200

    asyncio.run(story())


def test_one_connection_serves_plain_calls_and_then_the_rest(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path) as (rig, client):
            await rig.ready(client)
            visitor = await Visitor.of(rig)
            for _ in range(2):
                await visitor.say(STATE)
                status, body = await visitor.hear()
                assert (status, msgspec.json.decode(body, type=StateReport).member) == (200, "m0")
            await visitor.say(b"GET /metrics HTTP/1.1\r\nHost: m\r\n\r\n")
            status, body = await visitor.hear()
            assert status == 200
            standing = [line for line in body.split(b"\n") if line.startswith(b"leasegrid_door_connections ")]
            assert [float(line.split()[1]) >= 1 for line in standing] == [True]
            assert b"leasegrid_door_refused_total 0.0" in body
            await visitor.say(STATE)
            assert (await visitor.hear())[0] == 200
            await visitor.close()

    asyncio.run(story())


def test_what_is_no_call_is_refused_with_the_same_words_on_either_way(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path) as (rig, client):
            await rig.ready(client)
            cases = {
                (posted("bind", b"{]"),): (400, "the request cannot be read"),
                (posted("bind", b"{]", "Accept-Language: en"),): (400, "the request cannot be read"),
                (posted("bind", b'{"statement":"x"}'),): (401, "three parts"),
                (posted("steal", b"{}"),): (404, "POST /v1/steal"),
                (posted("state", b"{}"),): (405, "POST /v1/state"),
                (b"nonsense\r\n\r\n",): (400, ""),
            }
            for pieces, (status, words) in cases.items():
                visitor = await Visitor.of(rig)
                await visitor.say(*pieces)
                heard, body = await visitor.hear()
                assert heard == status
                if words:
                    assert words in msgspec.json.decode(body, type=ErrorReply).cause
                await visitor.close()

    asyncio.run(story())


def test_a_visitor_that_leaves_in_the_middle_of_a_release_does_not_stop_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with member(tmp_path) as (rig, client):
            state = await rig.claimed(client)
            visitor = await Visitor.of(rig)
            body = msgspec.json.encode(SignedRequest(rig.signed(rig.capability(state))))
            await visitor.say(posted("release", body))
            await visitor.close()
            assert (await rig.ready(client)).epoch == state.epoch

    asyncio.run(story())
