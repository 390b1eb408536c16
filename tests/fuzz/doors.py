"""Requests at the doors of stores, as bytes on a socket: every answer is one of the protocol's, none a defect of ours.

An input is the first line of a request (method and path) and its body; grant, session and length are put to it, so that
it comes past them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from aiohttp import web

from tasklet_runner.member.core import MemberCore
from tasklet_runner.member.hints import Silence
from tasklet_runner.member.settings import MemberSettings
from tasklet_runner.member.shelf import Shelf
from tasklet_runner.member.states import Identity
from tasklet_runner.member.store_door import StoreDoor
from tasklet_runner.wire.checkpoints import EPOCH_HEADER
from tasklet_runner.wire.digests import checksum
from tasklet_runner.wire.job_store import TERM_HEADER
from tasklet_runner.wire.member import Role
from tasklet_runner.wire.signed import public_text, sign
from tasklet_runner.wire.statements import Bind, Confirm
from tasklet_runner.wire.store import DIGEST_HEADER, SESSION_HEADER
from tests.fuzz.decoder import Try
from tests.fuzz.of_statements import KEY, WHO
from tests.support.stores import MEBIBYTE

FIELDS = b"\n"
"""Behind the first line of an input, before its body."""

WAITED_SECONDS = 0.5
"""A receiver may wait for messages for half a minute: it is not waited for."""

ANSWERED_SECONDS = 60.0
_DIGESTED = (b"PUT /v1/checkpoints/", b"POST /v1/checkpoints/")


@asynccontextmanager
async def leased_store(root: Path) -> AsyncIterator[Path]:
    """The door of a Memory member that is bound, with a session of its holder; the path of its socket."""
    settings = MemberSettings(
        name="m0",
        listen="unix:///none",
        fabric_key=public_text(KEY),
        scratch=root / "scratch",
        role=Role.MEMORY,
        store=root / "volume",
        quota=8 * MEBIBYTE,
    )
    shelf = Shelf(settings)
    core = MemberCore(settings, Identity("m0", "inc", 0, 0, role=Role.MEMORY), Silence(), shelf)
    await core.warm()
    core.bind(sign(Bind(**WHO, holder_key=public_text(KEY), issued_at=0.0, deadline=1e6), KEY))  # type: ignore[arg-type]  # words and a number
    core.confirm(sign(Confirm(**WHO), KEY))  # type: ignore[arg-type]  # as above
    shelf.store.write_from(1)
    application = web.Application()
    application.add_routes(StoreDoor(core, shelf).routes())
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.UnixSite(runner, str(root / "m.sock")).start()
    (root / "session").write_text(shelf.open_session(), encoding="ascii")
    try:
        yield root / "m.sock"
    finally:
        await runner.cleanup()
        await core.close()


@contextmanager
def leased(root: Path) -> Iterator[Try]:
    """Gives inputs to such a door, as its holder."""
    with asyncio.Runner() as runner:
        opened = leased_store(root)
        socket = runner.run(opened.__aenter__())
        session = (root / "session").read_text(encoding="ascii")
        fields = {SESSION_HEADER: session, TERM_HEADER: "1", EPOCH_HEADER: "1"}
        try:
            yield lambda data: runner.run(answered(socket, data, fields))
        finally:
            runner.run(opened.__aexit__(None, None, None))


async def answered(socket: Path, data: bytes, fields: Mapping[str, str]) -> bool:
    """True for a yes, False for a refusal in words. Raises AssertionError for what the protocol does not know."""
    line, _, body = data.partition(FIELDS)
    given = dict(fields)
    if line.startswith(_DIGESTED):
        given[DIGEST_HEADER] = checksum(body).hex()
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    request = line + b" HTTP/1.1\r\nHost: m\r\nConnection: close\r\n" + head.encode()
    request += b"Content-Length: %d\r\n\r\n" % len(body) + body
    said = await _exchanged(socket, request, WAITED_SECONDS if b"wait" in body else ANSWERED_SECONDS)
    if said is None:
        return False
    status = said.split(b" ", 2)[1:2]
    assert status, f"no answer, or none that is HTTP: {said[:100]!r}"
    code = int(status[0])
    assert 200 <= code < 500 or b'"code"' in said, f"status {code}: {said[:300]!r}"
    return code < 400


async def _exchanged(socket: Path, request: bytes, patience: float) -> bytes | None:
    """The whole answer; None when it is waited for too long by a receiver that said that it waits."""
    reader, writer = await asyncio.open_unix_connection(str(socket))
    try:
        writer.write(request)
        async with asyncio.timeout(patience):
            return await reader.read()
    except TimeoutError:
        assert patience == WAITED_SECONDS, "no answer"
        return None
    except ConnectionError:
        return b"HTTP/1.1 400 refused before all was sent"
    finally:
        writer.transport.abort()
