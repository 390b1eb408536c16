"""A shuffle on scripted members: what mappers put is kept in a dictionary, what readers fetch is read from there."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from tasklet_runner.plan.types import Input, Item, ItemsInput, Medium, Plan, RetryPolicy, Shuffle, Stage, StageInput
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import Fetch, Outcome, Task
from tasklet_runner.wire.signed import decode_base64url
from tasklet_runner.wire.statements import GetGrant, PutGrant
from tasklet_runner.wire.work import Grant, Stored
from tests.support.runs import plan, stage
from tests.support.scripted_member import Script, echo

FAST = RetryPolicy(initial_backoff_milliseconds=10, max_backoff_milliseconds=20)


def items(*values: str) -> ItemsInput:
    """A chunk per value."""
    return ItemsInput(items=tuple(Item(value=value) for value in values))


def many(count: int) -> ItemsInput:
    """Chunks with the inputs i0, i1, …"""
    return items(*(f"i{number}" for number in range(count)))


def everything(partition: int, count: int) -> bytes:
    """What the reader of a partition gets of so many mappers."""
    return b"".join(b"%d:i%d;" % (partition, number) for number in range(count))


def mapped(given: Input, partitions: int = 2, medium: Medium = Medium.MEMORY, **changes: object) -> Stage:
    """The stage `map`."""
    shuffle = Shuffle(partitions=partitions, medium=medium, size=1 << 20)
    return stage(given, name="map", shuffle=shuffle, retry=FAST, **changes)


def reduced(name: str = "reduce", reads: tuple[str, ...] = ("map",), **changes: object) -> Stage:
    """A stage that reads shuffled ones."""
    return stage(StageInput(stages=reads), name=name, depends_on=reads, retry=FAST, **changes)


def shuffle_plan(given: Input, partitions: int = 2, medium: Medium = Medium.MEMORY) -> Plan:
    """`map`, then `reduce`."""
    return plan(mapped(given, partitions, medium), reduced())


def statement(text: str) -> dict[str, object]:
    """What a signed statement says."""
    said: dict[str, object] = msgspec.json.decode(decode_base64url(text.split(".")[1]))
    return said


@dataclass
class Shelves:
    """Objects by the store's endpoint and their key. A mapper's output is `<partition>:<input>;` in every partition;
    `parts` says otherwise. A task without stdin is a reader's; one that has such outputs on stdin passes them on.
    `before_put` and `before_fetch` hear of each. `volume`: all endpoints serve the same objects.
    """

    partitions: int = 2
    objects: dict[str, dict[str, bytes]] = field(default_factory=dict)
    parts: Callable[[Task], dict[int, bytes]] | None = None
    before_put: Callable[[Grant], Fault | None] = lambda _: None
    before_fetch: Callable[[Task], Fault | None] = lambda _: None
    volume: bool = False
    put_terms: list[int] = field(default_factory=list)
    made: dict[tuple[int, int], dict[int, bytes]] = field(default_factory=dict)
    maps: int = 0
    reduces: int = 0

    def script(self) -> Script:
        """Members that work on these shelves."""
        return Script(run=self._run, put=self._put)

    def shelf(self, endpoint: str) -> dict[str, bytes]:
        """The objects behind an endpoint."""
        return self.objects.setdefault("" if self.volume else endpoint, {})

    def _run(self, task: Task) -> Outcome:
        if not task.input:
            return self._reduce(task)
        if b":" in task.input:
            return echo(task)
        self.maps += 1
        parts = self.parts(task) if self.parts else {n: b"%d:%s;" % (n, task.input) for n in range(self.partitions)}
        self.made[task.index, task.attempt] = parts
        sizes = tuple((number, len(data)) for number, data in sorted(parts.items()))
        return Outcome(parts=sizes, held_bytes=sum(size for _, size in sizes), wall_microseconds=100)

    def _reduce(self, task: Task) -> Outcome:
        if fault := self.before_fetch(task):
            return Outcome(fault=fault)
        try:
            data = b"".join(self.shelf(fetch.endpoint)[key] for fetch in task.fetch for key in _allowed(fetch))
        except KeyError as missing:
            return Outcome(fault=Fault(kind=FaultKind.DISCONNECTED, message=f"the store does not have {missing}"))
        self.reduces += 1
        return Outcome(stdout=data, wall_microseconds=100)

    def _put(self, grant: Grant) -> Stored:
        if fault := self.before_put(grant):
            return Stored(grant.index, grant.attempt, fault=fault)
        said = msgspec.convert(statement(grant.grant), PutGrant)
        assert said.key_prefix == grant.key_prefix
        self.put_terms.append(said.term)
        parts = self.made[grant.index, grant.attempt]
        shelf = self.shelf(grant.endpoint)
        names = tuple(f"part-{number}" for number in sorted(parts))
        shelf.update({f"{grant.key_prefix}/part-{number}": data for number, data in parts.items()})
        return Stored(grant.index, grant.attempt, names)


def _allowed(fetch: Fetch) -> tuple[str, ...]:
    prefix = msgspec.convert(statement(fetch.grant), GetGrant).key_prefix
    assert all(key.startswith(f"{prefix}/") for key in fetch.keys)
    return fetch.keys


async def soon(condition: Callable[[], object]) -> None:
    """Wait until it is so."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - scripted members tell nobody what they do
            await asyncio.sleep(0.01)
