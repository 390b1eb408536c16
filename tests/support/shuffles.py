"""What a shuffle asks of members: programs with partitions, grants for a leased store, and a narrow way to it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from tasklet_runner.client.work import WorkConnection
from tasklet_runner.wire.programs import Fetch, Language, Limits, PartitionBy, Program, Result, Task
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import GetGrant, PutGrant
from tasklet_runner.wire.work import Grant, Prepare, Prepared, Run, Stored
from tests.support.members import LEASE, MemberRig, expect, leased, send_blob
from tests.support.python_members import ask
from tests.support.store_members import HeldStore, held_store
from tests.support.stores import MEBIBYTE

ROOMY = Limits(fuel=10**12, max_output=64 * MEBIBYTE)


@contextlib.asynccontextmanager
async def worker(root: Path, name: str, *arguments: str) -> AsyncIterator[tuple[MemberRig, WorkConnection]]:
    """A leased member below `root/name` with an open connection."""
    (root / name).mkdir()
    async with leased(root / name, *arguments) as (rig, _client, connection):
        yield rig, connection


@contextlib.asynccontextmanager
async def shuffle_store(root: Path, name: str = "store") -> AsyncIterator[HeldStore]:
    """A leased Memory member below `root/name`."""
    (root / name).mkdir()
    async with held_store(root / name) as held:
        yield held


async def prepare_module(
    connection: WorkConnection,
    module: bytes,
    number: int = 0,
    *,
    partitions: int = 0,
    by: PartitionBy = PartitionBy.KEY,
) -> None:
    """Make a module ready under this number."""
    program = Program(
        name="tool",
        language=Language.WASM,
        source=await send_blob(connection, module),
        limits=ROOMY,
        partitions=partitions,
        partition_by=by,
    )
    await connection.send(Prepare(number, program))
    await expect(connection, Prepared)


async def run_one(connection: WorkConnection, task: Task, frame: int = 1, program: int = 0) -> Result:
    """Run one task in a frame of its own."""
    (result,) = await ask(connection, task, frame=frame, program=program)
    return result


def put_grant(store: HeldStore, task: tuple[int, int], endpoint: str = "", **changes: object) -> Grant:
    """Leave for an attempt (index, attempt) of stage `map` to put its parts."""
    index, attempt = task
    prefix = f"map/{index}/{attempt}"
    words = {"store": LEASE, "term": store.state.epoch, "key_prefix": prefix, "max_bytes": 64 * MEBIBYTE}
    statement = PutGrant(**(words | {"expires_at": time.time() + 300} | changes))  # type: ignore[arg-type]
    return Grant(index, attempt, endpoint or store.rig.endpoint, prefix, sign(statement, store.rig.holder))


def fetch_of(store: HeldStore, *keys: str, endpoint: str = "", **changes: object) -> Fetch:
    """These objects of stage `map`, with leave to read them."""
    words = {"store": LEASE, "term": store.state.epoch, "key_prefix": "map", "expires_at": time.time() + 300}
    statement = GetGrant(**(words | changes))  # type: ignore[arg-type]  # the tests' changes are of the fields' types
    return Fetch(endpoint or store.rig.endpoint, sign(statement, store.rig.holder), keys)


async def put_parts(connection: WorkConnection, grant: Grant) -> Stored:
    """Have a held output put; the member's answer."""
    await connection.send(grant)
    answer = await expect(connection, Stored)
    assert isinstance(answer, Stored)
    return answer


async def send_fetching(connection: WorkConnection, frame: int, index: int, *fetches: Fetch) -> None:
    """Send a task with fetches to slot 0, for program 0."""
    await connection.send(Run(0, frame, 0, (Task(index, 1, f"{index}-x", fetch=fetches),)))


async def objects_of(store: HeldStore) -> dict[str, bytes]:
    """Everything in the store."""
    return {info.key: await store.store.get(info.key) async for info in store.store.list_objects()}


class Sluice:
    """A way to a unix socket that carries so many bytes one way and then nothing, until it is opened or cut.

    `limit`: of what the client sends (`upward`) or of what the server answers. `full`: set when it is reached.
    """

    def __init__(self, target: str, limit: int, *, upward: bool) -> None:
        self._target = target.removeprefix("unix://")
        self._limits = (limit, None) if upward else (None, limit)
        self._opened = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.full = asyncio.Event()

    def open(self) -> None:
        """Carry everything from now on."""
        self._opened.set()

    def cut(self) -> None:
        """Break all connections."""
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there_reader, there_writer = await asyncio.open_unix_connection(self._target)
        up, down = self._limits
        try:
            await asyncio.gather(self._carry(reader, there_writer, up), self._carry(there_reader, writer, down))
        except asyncio.CancelledError:
            pass  # cut
        finally:
            writer.transport.abort()
            there_writer.transport.abort()
            self._tasks.discard(task)

    async def _carry(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, limit: int | None) -> None:
        carried = 0
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                if limit is not None and carried + len(data) > limit and not self._opened.is_set():
                    sink.write(data[: limit - carried])
                    data, carried = data[limit - carried :], limit
                    self.full.set()
                    await self._opened.wait()
                sink.write(data)
                carried += len(data)
                await sink.drain()
        sink.transport.abort()


@contextlib.asynccontextmanager
async def sluice(target: str, limit: int, *, upward: bool) -> AsyncIterator[tuple[Sluice, str]]:
    """An open sluice and its endpoint; cut at the end."""
    made = Sluice(target, limit, upward=upward)
    # Not a unix socket: through that the two ends would only tell each other where their files stand.
    server = await asyncio.start_server(made._serve, "127.0.0.1", 0)
    try:
        yield made, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        made.cut()
