"""A leased volume beside four numbers: whose it is, at which term, which coordinator writes, and what was put."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.failures import StoreName
from tasklet_runner.store.grants import Allowance, check_grant
from tasklet_runner.wire.batches import ObjectHead, framed
from tasklet_runner.wire.errors import LeaseGridError, RefusedError, StoreError, StoreFencedError
from tasklet_runner.wire.statements import PutGrant
from tests.support.stores import pieces

QUOTA = 1000
_OWNERS = st.sampled_from(("lease-1", "lease-2"))
_TERMS = st.integers(0, 5)


class VolumeAgainstNumbers(RuleBasedStateMachine):
    """One volume and all leases that it is ever given to."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="volume-model-"))
        self.loop = asyncio.new_event_loop()
        self.owner, self.term, self.writer = "", 0, 0
        self.objects: dict[str, bytes] = {}
        self.store = self._open()

    def _open(self) -> DiskStore:
        return DiskStore.open_volume(StoreName("m0", self.directory, QUOTA), durable=False)

    def teardown(self) -> None:
        self.loop.run_until_complete(self.store.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.directory)

    @rule(owner=_OWNERS, term=_TERMS)
    def take(self, owner: str, term: int) -> None:
        try:
            self.store.take(owner, term)
        except StoreFencedError:
            assert term < self.term
            return
        assert term >= self.term
        self.owner, self.term = owner, term

    @rule(term=_TERMS)
    def a_coordinator_opens_it(self, term: int) -> None:
        try:
            self.store.write_from(term)
        except StoreFencedError:
            assert term < self.writer
            return
        assert term >= self.writer
        self.writer = term

    @rule(
        name=st.sampled_from("abc"), size=st.sampled_from((0, 10, 600)), lease=_OWNERS, term=_TERMS, late=st.booleans()
    )
    def put_under_a_grant(self, name: str, size: int, lease: str, term: int, late: bool) -> None:
        """By whoever was granted something once, of whichever lease and term, in time or not."""
        grant = PutGrant(store=lease, term=term, key_prefix="p", max_bytes=700, expires_at=100.0)
        key, data = f"p/{name}", name.encode() * size
        # The member's epoch counts as the term until a coordinator writes.
        now, current = (200.0 if late else 50.0), self.writer or self.term
        after = self.objects | {key: data}
        used = sum(map(len, after.values()))
        same = self.objects.get(key, data) == data
        good = lease == self.owner and term == current and not late and same and used <= 700
        assert self._taken(grant, key, data, now) == good
        self.objects = after if good else self.objects

    def _taken(self, grant: PutGrant, key: str, data: bytes, now: float) -> bool:
        try:
            check_grant(grant, store_uid=self.store.owner, term=self.store.writer_term or self.store.term, now=now)
            body = framed(ObjectHead(key, len(data))) + data
            self.loop.run_until_complete(self.store.receive_batch(pieces(body), Allowance.of(grant)))
        except (RefusedError, StoreError):
            return False
        return True

    @rule()
    def reopen(self) -> None:
        self.loop.run_until_complete(self.store.close())
        self.store = self._open()

    @rule()
    def nobody_else_opens_it(self) -> None:
        try:
            self._open()
        except LeaseGridError:
            return
        raise AssertionError("a volume has two servers")

    @invariant()
    def says_what_the_numbers_say(self) -> None:
        store = self.store
        assert (store.owner, store.term, store.writer_term) == (self.owner, self.term, self.writer)
        assert store.room == QUOTA - sum(map(len, self.objects.values()))
        for key, data in self.objects.items():
            assert self.loop.run_until_complete(store.read(key)) == data
