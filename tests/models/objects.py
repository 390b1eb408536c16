"""Whatever is written in whatever order, a store shows what a dictionary with the same rules shows."""

import asyncio
import shutil
import tempfile
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tasklet_runner.store.batches import INLINE_BYTES
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.grants import Allowance
from tasklet_runner.wire.batches import ObjectHead, framed
from tasklet_runner.wire.errors import ProtocolError, StoreError
from tasklet_runner.wire.programs import INLINE_OUTPUT_BYTES
from tests.support.stores import commit, output, pieces

_QUOTA = 300_000
_INDEXES = st.integers(0, 4)
_ATTEMPTS = st.integers(1, 3)
_DATA = st.builds(
    lambda letter, size: letter * size,
    st.sampled_from([b"a", b"b"]),
    st.sampled_from([0, 1, 5000, 65_536, 65_537, 100_000]),
)
_OUTPUTS = st.lists(st.builds(output, _INDEXES, _DATA, st.just("stdout"), _ATTEMPTS), max_size=3)
_COMMITS = st.lists(st.builds(commit, _INDEXES, _ATTEMPTS), max_size=3)


class StoreAgainstDictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="store-model-"))
        self.loop = asyncio.new_event_loop()
        self.objects: dict[str, bytes] = {}
        self.places: dict[str, int] = {}
        self.visible: dict[int, int] = {}
        self.store = self._open()

    def _open(self) -> DiskStore:
        return DiskStore.open(self.directory, uid="store-1", quota_bytes=_QUOTA, term=1)

    def teardown(self) -> None:
        self.loop.run_until_complete(self.store.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.directory)

    def _expect(self, wanted: dict[str, bytes], conflict: bool) -> bool:
        after = self.objects | wanted
        return not conflict and sum(map(len, after.values())) <= _QUOTA

    def _drop_invisible(self, index: int) -> None:
        kept = f"main/{index}/{self.visible[index]}/"
        self.objects = {
            key: data
            for key, data in self.objects.items()
            if not key.startswith(f"main/{index}/") or key.startswith(kept)
        }
        self.places = {key: number for key, number in self.places.items() if key in self.objects}

    @rule(outputs=_OUTPUTS, commits=_COMMITS)
    def write(self, outputs: list, commits: list) -> None:  # type: ignore[type-arg]  # hypothesis reads the annotations
        wanted: dict[str, bytes] = {}
        conflict = False
        for item in outputs:
            known = wanted.get(item.key, self.objects.get(item.key))
            conflict = conflict or known not in {None, item.data}
            wanted[item.key] = item.data
        try:
            new = self.loop.run_until_complete(self.store.write(outputs, commits))
        except StoreError:
            assert not self._expect(wanted, conflict)
            return
        assert self._expect(wanted, conflict)
        for key, data in wanted.items():
            self._place([key] if len(data) > INLINE_OUTPUT_BYTES else [])
        self.objects |= wanted
        before = len(self.visible)
        everything_was_new = new == len(commits)
        for record in commits:
            self.visible.setdefault(record.index, record.attempt)
        assert new == len(self.visible) - before
        for record in commits:
            if record.attempt > 1 or not everything_was_new:
                self._drop_invisible(record.index)

    @rule(index=_INDEXES, attempt=_ATTEMPTS, data=_DATA)
    def receive(self, index: int, attempt: int, data: bytes) -> None:
        item = output(index, data, "out/file", attempt)
        expected = self._expect({item.key: data}, self.objects.get(item.key, data) != data)
        try:
            self.loop.run_until_complete(self.store.receive(item.key, pieces(data[:70_000], data[70_000:]), _QUOTA))
        except StoreError:
            assert not expected
        else:
            assert expected
            self._place([item.key] if len(data) > INLINE_OUTPUT_BYTES else [])
            self.objects[item.key] = data

    @rule(outputs=_OUTPUTS)
    def receive_batch(self, outputs: list) -> None:  # type: ignore[type-arg]  # as above
        wanted = {item.key: item.data for item in outputs}
        twice = len(wanted) < len(outputs)
        conflict = any(self.objects.get(key, data) != data for key, data in wanted.items())
        body = b"".join(framed(ObjectHead(item.key, len(item.data))) + item.data for item in outputs)
        arriving = pieces(body[:5], body[5:70_000], body[70_000:])
        try:
            self.loop.run_until_complete(self.store.receive_batch(arriving, Allowance(_QUOTA)))
        except (StoreError, ProtocolError):
            assert twice or not self._expect(wanted, conflict)
            return
        assert not twice
        assert self._expect(wanted, conflict)
        self._place([key for key, data in wanted.items() if len(data) > INLINE_BYTES])
        self.objects |= wanted

    def _place(self, keys: list[str]) -> None:
        """Those of these objects that are new stand in one file, which goes with the last of them."""
        number = max(self.places.values(), default=0) + 1
        self.places |= {key: number for key in keys if key not in self.objects}

    @rule()
    def reopen(self) -> None:
        self.loop.run_until_complete(self.store.close())
        self.store = self._open()

    @invariant()
    def shows_the_same(self) -> None:
        async def check() -> None:
            assert {record.index: record.attempt for record in await self.store.commits("main")} == self.visible
            assert await self.store.used_bytes() == sum(map(len, self.objects.values()))
            for key, data in self.objects.items():
                assert await self.store.read(key) == data

        self.loop.run_until_complete(check())
        files = [path for path in (self.directory / "files").glob("*/*") if path.is_file()]
        assert len(files) == len({number for key, number in self.places.items() if key in self.objects})
