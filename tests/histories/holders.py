"""A holder: uses leases at members' doors, several operations at a time, and writes down what came of each.

`python -m tests.histories.holders NAME` obeys `work`, which runs tasks until its connection ends, and the operations of
a store: `put`, `get`, and a coordinator's `open`, `write`, `set`, `read`.
"""

import asyncio
import hashlib
import itertools
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.store_calls import Ask
from tasklet_runner.client.stores import StoreClient
from tasklet_runner.client.work import WorkConnection
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.job_store import JOB_PATH, TERM_HEADER, VALUES_PATH, Write, WriteObject
from tasklet_runner.wire.programs import Task
from tasklet_runner.wire.work import NotRun, Prepared, Results, Run
from tests.histories.children import Mouth, Order, obey_all
from tests.histories.history import OK, SILENT, UNKNOWN, Entry, Operation
from tests.histories.statements import outcome_of
from tests.support import wat
from tests.support.members import Address, prepare

BEAT_SECONDS = 0.05
SILENT_SECONDS = 12.0
"""No schedule holds anything back for so long: whoever has not answered by then does not."""


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """One operation under one claim. `holder`: the private key, in hex; `deadline`: as the capability has it."""

    member: str
    incarnation: str
    epoch: int
    lease: str
    endpoint: str
    capability: str
    holder: str
    deadline: float
    key: str = ""
    text: str = ""
    term: int = 0

    @property
    def private_key(self) -> Ed25519PrivateKey:
        """The holder's."""
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(self.holder))

    @property
    def data(self) -> bytes:
        """What is written."""
        return self.text.encode()


@dataclass(frozen=True)
class Came:
    """What came of an operation."""

    outcome: str = OK
    digest: str = ""


class Holder:
    """One process. A client per claim and capability: its sessions last as long as the claim."""

    def __init__(self, name: str, mouth: Mouth) -> None:
        self.name = name
        self._mouth = mouth
        self._clients: dict[tuple[str, str], StoreClient] = {}
        self._acts: dict[str, Callable[[StoreClient, Use], Awaitable[str]]] = {
            "put": _put,
            "get": _get,
            "open": _open,
            "write": _write,
            "set": _set,
            "read": _read,
        }

    async def obey(self, order: Order) -> None:
        """Answered when it is over."""
        if order.verb == "forget":
            await self.close()
            return
        use = msgspec.json.decode(order.words, type=Use)
        if order.verb == "work":
            await self._work(use)
            return
        act = self._acts[order.verb]
        await self._record(Operation(order.verb), use, lambda: act(self._client(use), use))

    async def close(self) -> None:
        """Close all connections."""
        clients, self._clients = self._clients, {}
        await asyncio.gather(*(client.close() for client in clients.values()))

    def _client(self, use: Use) -> StoreClient:
        found = self._clients.get((use.endpoint, use.lease))
        if found is None:
            found = StoreClient(use.endpoint, use.capability, use.private_key)
            self._clients[use.endpoint, use.lease] = found
        found.show(use.capability)
        return found

    async def _work(self, use: Use) -> None:
        """Tasks one after the other, until the member ends the connection."""
        address = Address(use.member, use.endpoint, use.incarnation)
        opened: list[WorkConnection] = []

        async def open_and_prepare() -> str:
            opened.append(await WorkConnection.open(address, use.capability, use.private_key))
            return ""

        if await self._record(Operation.SHOW, use, open_and_prepare) != OK:
            return

        async def prepare_in_it() -> str:
            if not isinstance(await prepare(opened[0], wat.echo()), Prepared):
                raise _NotDoneError("PrepareFailed")
            return ""

        try:
            if await self._record(Operation.SHOW, use, prepare_in_it) != OK:
                return
            frames = itertools.count()
            while True:
                if await self._record(Operation.RUN, use, lambda: _run(opened[0], next(frames))) != OK:
                    return
                await asyncio.sleep(BEAT_SECONDS)
        finally:
            await opened[0].close()

    async def _record(self, operation: Operation, use: Use, act: Callable[[], Awaitable[str]]) -> str:
        invoked, came = time.monotonic(), Came(UNKNOWN)
        try:
            async with asyncio.timeout(SILENT_SECONDS):
                came = Came(OK, await act())
        except _NotDoneError as error:
            came = Came(error.outcome)
        except AssertionError:
            # `prepare` has been told that the lease has ended.
            came = Came("Ended")
        except TimeoutError:
            came = Came(SILENT)
        except LeaseGridError as error:
            came = Came(outcome_of(error))
        finally:
            self._mouth.record(_entry(self.name, operation, use, invoked, came))
        return came.outcome


class _NotDoneError(Exception):
    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


def _entry(who: str, operation: Operation, use: Use, invoked: float, came: Came) -> Entry:
    writes = operation in (Operation.PUT, Operation.WRITE, Operation.SET)
    return Entry(
        who=who,
        operation=operation,
        invoked=invoked,
        completed=time.monotonic(),
        outcome=came.outcome,
        member=use.member,
        incarnation=use.incarnation,
        epoch=use.epoch,
        lease=use.lease,
        deadline=use.deadline,
        term=use.term,
        key=use.key,
        digest=_digest(use.data) if writes else came.digest,
    )


async def _put(client: StoreClient, use: Use) -> str:
    await client.put(use.key, use.data)
    return ""


async def _get(client: StoreClient, use: Use) -> str:
    return _digest(await client.get(use.key))


async def _open(client: StoreClient, use: Use) -> str:
    return await _asked(client, Ask("POST", JOB_PATH + "open", _term(use)))


async def _write(client: StoreClient, use: Use) -> str:
    body = msgspec.msgpack.encode(Write((WriteObject(use.key, use.data),), ()))
    return await _asked(client, Ask("POST", JOB_PATH + "write", _term(use), lambda: body))


async def _set(client: StoreClient, use: Use) -> str:
    return await _asked(client, Ask("PUT", VALUES_PATH + use.key, _term(use), lambda: use.data))


async def _read(client: StoreClient, use: Use) -> str:
    async with client.calls.answer(Ask("GET", VALUES_PATH + use.key, _term(use))) as response:
        return _digest(await response.read())


async def _asked(client: StoreClient, ask: Ask) -> str:
    async with client.calls.answer(ask) as response:
        await response.read()
    return ""


async def _run(connection: WorkConnection, frame: int) -> str:
    await connection.send(Run(0, frame, 0, (Task(0, 1, "0-x", b"beat"),)))
    while True:
        message = await connection.receive()
        if isinstance(message, Results) and message.frame == frame:
            if message.results and message.results[0].outcome.fault is not None:
                raise _NotDoneError(message.results[0].outcome.fault.kind.value)
            return ""
        if message is None or isinstance(message, NotRun):
            raise _NotDoneError("Ended" if message is None else "NotRun")


def _term(use: Use) -> dict[str, str]:
    return {TERM_HEADER: str(use.term)}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


async def main(name: str) -> None:
    """Until standard input ends."""
    mouth = Mouth()
    holder = Holder(name, mouth)
    await obey_all(mouth, holder.obey)
    await holder.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
