"""The queues of a store beside lists: what is pushed is delivered until it is acknowledged, in effect once."""

import asyncio
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tasklet_runner.store.disk import DiskStore
from tasklet_runner.wire.errors import RefusedError, StoreError
from tasklet_runner.wire.queues import Ack, Message, PushMany, Standing
from tests.support.stores import commit

QUOTA = 60
_QUEUES = st.sampled_from(("q", "q/1", "ü'\"[]"))
_MESSAGES = st.lists(
    st.builds(Message, st.sampled_from("abcde"), st.sampled_from((b"", b"12345", b"0123456789"))), max_size=4
)


@dataclass
class Waiting:
    """A message that is not acknowledged."""

    id: str
    body: bytes
    attempts: int = 0
    hidden: float = 0.0
    visibility: float = 0.0


class QueuesAgainstLists(RuleBasedStateMachine):
    """`receipts`: each that was given out, with its queue, its message's id and which delivery it was."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="queue-model-"))
        self.loop = asyncio.new_event_loop()
        self.waiting: dict[str, list[Waiting]] = {}
        self.known: set[tuple[str, str]] = set()
        self.closed: set[str] = set()
        self.receipts: list[tuple[str, str, str, int]] = []
        self.effects: set[int] = set()
        self.now = 100.0
        self.began_anew = False
        self.store = self._open()

    def _open(self) -> DiskStore:
        return DiskStore.open(self.directory, uid="store-1", quota_bytes=QUOTA, term=1)

    def teardown(self) -> None:
        self.loop.run_until_complete(self.store.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.directory)

    @property
    def used(self) -> int:
        """Bytes of all that waits."""
        return sum(len(message.body) for queue in self.waiting.values() for message in queue)

    @rule(queues=st.dictionaries(_QUEUES, _MESSAGES, max_size=2), close=st.sampled_from((False, False, False, True)))
    def push(self, queues: dict[str, list[Message]], close: bool) -> None:
        fresh = {name: self._fresh(name, messages) for name, messages in queues.items()}
        asked = PushMany({name: tuple(messages) for name, messages in queues.items()}, close)
        into_closed = any(new and name in self.closed for name, new in fresh.items())
        added = sum(len(message.body) for new in fresh.values() for message in new)
        try:
            said = self.store.queues.push_many(asked)
        except RefusedError:
            assert into_closed
            return
        except StoreError:
            assert added > QUOTA - self.used
            return
        assert not into_closed
        assert added <= QUOTA - self.used
        assert said == sum(map(len, fresh.values()))
        for name, new in fresh.items():
            self.waiting.setdefault(name, []).extend(Waiting(message.id, message.body) for message in new)
            self.known |= {(name, message.id) for message in new}
        self.closed |= set(queues) if close else set()

    @rule(names=st.lists(_QUEUES, min_size=1, max_size=3), limit=st.integers(1, 4), seconds=st.sampled_from((0.5, 9.0)))
    def receive(self, names: list[str], limit: int, seconds: float) -> None:
        said = self.store.queues.receive_many(names, limit, seconds, self.now)
        if self.began_anew:
            for message in (one for queue in self.waiting.values() for one in queue if one.visibility):
                message.hidden = self.now + message.visibility
            self.began_anew = False
        each = list(dict.fromkeys(names))
        due = [(name, one) for name in each for one in self.waiting.get(name, []) if one.hidden <= self.now][:limit]
        got = [(name, delivery) for name in each for delivery in said.queues.get(name, ())]
        assert [(name, one.id, one.body, one.attempts + 1) for name, one in due] == [
            (name, delivery.id, delivery.body, delivery.attempts) for name, delivery in got
        ]
        for (name, one), (_, delivery) in zip(due, got, strict=True):
            one.attempts, one.hidden, one.visibility = one.attempts + 1, self.now + seconds, seconds
            self.receipts.append((name, delivery.receipt, one.id, one.attempts))
        assert said.left == sum(len(self.waiting.get(name, [])) for name in each)
        assert said.closed == all(name in self.closed for name in each)

    @rule(chosen=st.lists(st.integers(0, 40), max_size=3), index=st.none() | st.integers(0, 5), other=_QUEUES)
    def acknowledge(self, chosen: list[int], index: int | None, other: str) -> None:
        some = [self.receipts[number % len(self.receipts)] for number in chosen] if self.receipts else []
        queue = some[0][0] if some else other
        mine = [one for one in some if one[0] == queue]
        expected = tuple(self._standing(queue, id_, attempts) for _, _, id_, attempts in mine)
        record = None if index is None else commit(index)
        said = self.store.queues.acknowledge(queue, Ack(tuple(receipt for _, receipt, _, _ in mine), record))
        assert said == expected
        if record is not None and Standing.LOST in said:
            return
        done = {id_ for (_, _, id_, _), standing in zip(mine, said, strict=True) if standing is Standing.ACKNOWLEDGED}
        self.waiting[queue] = [one for one in self.waiting.get(queue, []) if one.id not in done]
        if done and index is not None:
            self.effects.add(index)

    @rule()
    def receipts_of_nobody(self) -> None:
        said = self.store.queues.acknowledge("nowhere", Ack(("", "1.1", "9" * 18 + ".1", "x.y", "1.1 ")))
        assert set(said) == {Standing.LOST}

    @rule(name=_QUEUES)
    def close(self, name: str) -> None:
        self.store.queues.close(name)
        self.closed.add(name)

    @rule(seconds=st.sampled_from((0.4, 1.0, 10.0)))
    def time_goes_on(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def reopen(self) -> None:
        self.loop.run_until_complete(self.store.close())
        self.store, self.began_anew = self._open(), True
        self.now = 50.0

    @invariant()
    def counts_what_waits(self) -> None:
        assert self.loop.run_until_complete(self.store.used_bytes()) == self.used
        found = self.loop.run_until_complete(self.store.commits("main"))
        assert {record.index for record in found} == self.effects

    def _fresh(self, queue: str, messages: list[Message]) -> list[Message]:
        """Those whose ids were never pushed, each once. Of a closed queue the ids of what is done are forgotten."""
        there = {one.id for one in self.waiting.get(queue, [])}
        gone = there if queue in self.closed else there | {id_ for name, id_ in self.known if name == queue}
        fresh: dict[str, Message] = {}
        for message in messages:
            if message.id not in gone:
                fresh.setdefault(message.id, message)
        return list(fresh.values())

    def _standing(self, queue: str, id_: str, attempts: int) -> Standing:
        for one in self.waiting.get(queue, []):
            if one.id == id_:
                return Standing.ACKNOWLEDGED if one.attempts == attempts else Standing.LOST
        return Standing.ALREADY
