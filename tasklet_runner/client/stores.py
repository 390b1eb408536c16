"""Calls to a store: put one large object from a file."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import aiohttp
import msgspec
from yarl import URL

from tasklet_runner.wire.errors import InputError, RefusedError, StoreError, StoreFencedError, UnreachableError
from tasklet_runner.wire.member import ErrorReply
from tasklet_runner.wire.store import GRANT_HEADER, ObjectInfo, object_path

_PIECE_BYTES = 1024 * 1024
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=120)


async def put_object(endpoint: str, grant: str, key: str, path: Path) -> ObjectInfo:
    """Put the file's bytes under `key`, in flat memory. `endpoint`: `unix:///path` or `http://host:port`.

    Raises:
        RefusedError: the store said no: NotGranted, LeaseExpired, TooLarge, BadSignature, Conflict (it holds
            other bytes).
        StoreError: the store's disk fails or it is full; StoreFencedError: the grant is of another term.
        UnreachableError: no answer, or one that cannot be read.
        InputError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return await _put(endpoint, grant, key, file)
    except (aiohttp.ClientError, TimeoutError, msgspec.MsgspecError) as error:
        raise UnreachableError(
            f"the store at {endpoint} did not take {key!r}: {str(error) or type(error).__name__}",
            remedy="check that the coordinator runs and can be reached",
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {path} to put it into the store: {error}") from error


async def _put(endpoint: str, grant: str, key: str, file: BinaryIO) -> ObjectInfo:
    base, connector = _reach(endpoint)
    size = file.seek(0, 2)
    file.seek(0)
    headers = {GRANT_HEADER: grant, "Content-Length": str(size)}
    async with (
        aiohttp.ClientSession(connector=connector, timeout=_TIMEOUT) as session,
        session.put(URL(base + object_path(key), encoded=True), data=_pieces(file), headers=headers) as response,
    ):
        body = await response.read()
    if response.status == 200:
        return msgspec.json.decode(body, type=ObjectInfo)
    raise _error(msgspec.json.decode(body, type=ErrorReply))


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    # Read in the loop, not in a thread: a member's process forks its slots, and what it puts lies on its own tmpfs.
    while piece := file.read(_PIECE_BYTES):
        yield piece


def _reach(endpoint: str) -> tuple[str, aiohttp.BaseConnector]:
    if endpoint.startswith("unix://"):
        return "http://store", aiohttp.UnixConnector(path=endpoint.removeprefix("unix://"))
    return endpoint.rstrip("/"), aiohttp.TCPConnector()


def _error(reply: ErrorReply) -> Exception:
    if reply.code == StoreFencedError.code:
        return StoreFencedError(reply.cause, remedy=reply.remedy)
    if reply.code == StoreError.code:
        return StoreError(reply.cause, remedy=reply.remedy)
    return RefusedError(reply.code, reply.cause, remedy=reply.remedy)
