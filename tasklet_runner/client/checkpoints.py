"""Checkpoints at a store's door: what a member does for a chunk under a grant, and a holder for a state of its own.

Nothing is reckoned in a thread: a member's process forks its slots. Every call raises what `StoreConnections` says, and
    StoreFencedError: a later epoch writes under this key, or the grant is of another term.
    CheckpointDamagedError: there are checkpoints and none of them is whole; CheckpointVersionError: of another format.
    RefusedError: Conflict (another base, or a generation that is not new), FullWanted (a delta: put the whole payload).
"""

from collections.abc import AsyncIterator, Sequence
from mmap import mmap
from pathlib import Path
from urllib.parse import urlencode

import msgspec

from tasklet_runner.client.granted import StoreConnections, opened, translated
from tasklet_runner.client.store_calls import Ask, HolderCalls
from tasklet_runner.client.transfers import PIECE_BYTES, write_all
from tasklet_runner.wire.checkpoints import (
    DELTAS,
    EPOCH,
    EPOCH_HEADER,
    GENERATION_HEADER,
    CheckpointInfo,
    checkpoint_path,
)
from tasklet_runner.wire.digests import Checksum
from tasklet_runner.wire.errors import RefusedError
from tasklet_runner.wire.programs import Durable
from tasklet_runner.wire.store import DIGEST_HEADER, GRANT_HEADER

Payload = bytes | bytearray | memoryview | mmap


async def put_checkpoint(stores: StoreConnections, durable: Durable, generation: int, payload: Payload) -> int:
    """Keep a payload as checkpoint `generation`; the bytes that were sent. It is durable when the call returns."""
    return await _put(stores, durable, full_ask(durable.key, generation, payload))


async def put_delta(stores: StoreConnections, durable: Durable, generation: int, delta: Payload, size: int) -> int:
    """Keep what changed (`durable.deltas`) since the checkpoint before, which is the newest; the payload has `size`
    bytes by now. The bytes that were sent.
    """
    return await _put(stores, durable, delta_ask(durable.key, generation, delta, size))


async def get_checkpoint(stores: StoreConnections, durable: Durable, path: Path) -> tuple[int, int] | None:
    """Write the newest checkpoint to a file, in flat memory: its generation and size; None when there is none.

    Whoever wrote under this key with a lower epoch than the grant's is fenced. The file appears whole or not at all.
    """
    part = path.with_name(f".{path.name}.part")
    headers = {GRANT_HEADER: durable.grant}
    try:
        with translated(durable.endpoint, f"give the checkpoint {durable.key!r}"), opened(part, "wb") as file:
            async with stores.answer(durable.endpoint, "GET", checkpoint_path(durable.key), headers) as response:
                async for piece in response.content.iter_any():
                    write_all(file, memoryview(piece))
                size = file.tell()
                generation = int(response.headers[GENERATION_HEADER])
        part.replace(path)
    except RefusedError as error:
        if error.reason == "NotFound":
            return None
        raise
    finally:
        part.unlink(missing_ok=True)
    return generation, size


async def delete_checkpoint(stores: StoreConnections, durable: Durable) -> None:
    """Nothing is left under the key; no error when there was nothing."""
    headers = {GRANT_HEADER: durable.grant}
    with translated(durable.endpoint, f"delete the checkpoint {durable.key!r}"):
        async with stores.answer(durable.endpoint, "DELETE", checkpoint_path(durable.key), headers):
            pass


class HolderCheckpoints:
    """One key at a store that the caller itself holds, under a session. `epoch`: the caller's, after `open`."""

    def __init__(self, calls: HolderCalls, key: str) -> None:
        self.epoch = 0
        self._calls = calls
        self._key = key

    async def open(self) -> None:
        """Be the writer from now on: all there were are fenced."""
        async with self._calls.answer(Ask("POST", checkpoint_path(self._key, EPOCH))) as response:
            self.epoch = msgspec.json.decode(await response.read(), type=CheckpointInfo).epoch

    async def get(self) -> tuple[int, bytes] | None:
        """Generation and payload of the newest checkpoint; None when there is none."""
        try:
            async with self._calls.answer(Ask("GET", checkpoint_path(self._key))) as response:
                return int(response.headers[GENERATION_HEADER]), await response.read()
        except RefusedError as error:
            if error.reason == "NotFound":
                return None
            raise

    async def put(self, generation: int, *parts: Payload) -> None:
        """Keep a payload, given in parts; it is durable when the call returns."""
        await self._done(full_ask(self._key, generation, *parts))

    async def put_delta(self, generation: int, delta: Payload, size: int) -> None:
        """Keep what changed since the checkpoint before; the payload has `size` bytes by now."""
        await self._done(delta_ask(self._key, generation, delta, size))

    async def delete(self) -> None:
        """Nothing is left under the key."""
        await self._done(Ask("DELETE", checkpoint_path(self._key)))

    async def _done(self, ask: Ask) -> None:
        headers = {**ask.headers, EPOCH_HEADER: str(self.epoch)}
        async with self._calls.answer(Ask(ask.method, ask.path, headers, ask.body)) as response:
            await response.read()


def full_ask(key: str, generation: int, *parts: Payload) -> Ask:
    """The request that puts a whole payload."""
    return _ask("PUT", f"{checkpoint_path(key)}?generation={generation}", *parts)


def delta_ask(key: str, generation: int, delta: Payload, size: int) -> Ask:
    """The request that puts a delta to the generation before."""
    query = urlencode({"generation": generation, "base": generation - 1, "size": size})
    return _ask("POST", f"{checkpoint_path(key, DELTAS)}?{query}", delta)


def _ask(method: str, path: str, *parts: Payload) -> Ask:
    views, checksum = [memoryview(part) for part in parts], Checksum()
    for view in views:
        checksum.update(view)
    headers = {DIGEST_HEADER: checksum.digest().hex(), "Content-Length": str(sum(map(len, views)))}
    return Ask(method, path, headers, lambda: _pieces(views))


async def _put(stores: StoreConnections, durable: Durable, ask: Ask) -> int:
    headers = {**ask.headers, GRANT_HEADER: durable.grant}
    body = ask.body() if ask.body is not None else b""
    with translated(durable.endpoint, f"take the checkpoint {durable.key!r}"):
        async with stores.answer(durable.endpoint, ask.method, ask.path, headers, body) as response:
            await response.read()
    return int(headers["Content-Length"])


async def _pieces(views: Sequence[memoryview]) -> AsyncIterator[bytes]:
    for view in views:
        for start in range(0, len(view), PIECE_BYTES):
            yield bytes(view[start : start + PIECE_BYTES])
