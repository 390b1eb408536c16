"""The stores of a run on this machine: the job's own, in the state directory under a Block lease, and its caches."""

import asyncio
import contextlib
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from leasegrid.cli import words
from leasegrid.cli.endings import Kept
from leasegrid.cli.origins import origin_of
from leasegrid.local.books import LeaseRow, Resource
from leasegrid.local.runtime import RuntimeDirectory
from leasegrid.local.state import StateDirectory, new_uid
from leasegrid.local.volumes import Volume, serving_process
from leasegrid.rules.continuing import Origin, changes, in_words
from tasklet_runner.plan.types import CacheSettings, Plan
from tasklet_runner.store.cache import ResultCache
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.inspection import committed_chunks, stored_value
from tasklet_runner.store.server import StoreServer, serve
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import JobChangedError, StateDirectoryError, StoreError

FINISHED = "finished"
"""The coordinator's record that a job has ended."""

DELIVERED = "delivered"
"""This command's record that it said so and handed over what there was: the job's name starts anew."""

PLAN = "plan"
"""The coordinator's record of what runs."""

REPORT = "report"
"""This command's record of how a run ended, for those who ask later."""

_ORIGIN = "origin"
_RESUMES = "resumes"


@dataclass(frozen=True)
class JobStoreHold:
    """A job's store while this command serves it. `volume` None: nothing is kept, it ends with the run.

    `resumes`: how often a run has gone on from an earlier one's chunks, this one included.
    """

    store: DiskStore
    server: StoreServer
    directory: Path
    volume: Volume | None
    row: LeaseRow | None
    resumes: int = 0

    async def close(self) -> None:
        """Stop serving; everything is durable. A second call does nothing."""
        await self.server.close()
        await self.store.close()


async def open_job_store(
    state: StateDirectory, runtime: RuntimeDirectory, plan: Plan, coordinator_key: Ed25519PublicKey, number: int
) -> JobStoreHold:
    """Open the store of a job, begin anew where its last run was brought to its end, and serve it to members.

    `number`: the job's place in this run. Raises JobChangedError, StateDirectoryError (another run has it), StoreError.
    """
    if plan.output.store == "None":
        directory = runtime.path / f"job-{number}"
        store, volume, row, resumes = _opened(directory, new_uid(), 1, plan), None, None, 0
    else:
        volume = state.hold_job(plan.namespace, plan.name)
        try:
            directory, row = volume.store, _row(state, volume, plan)
            store, resumes = await _begin_or_go_on(volume, row.uid, plan)
            row = state.enter(volume, row)
        except BaseException:
            volume.release()
            raise
    try:
        server = await serve(store, runtime.store_socket(number), coordinator_key)
    except BaseException:
        await store.close()
        if volume is not None:
            volume.release()
        raise
    return JobStoreHold(store, server, directory, volume, row, resumes)


def _row(state: StateDirectory, volume: Volume, plan: Plan) -> LeaseRow:
    row = state.row_of(volume) or LeaseRow(
        uid=new_uid(), resource=Resource.BLOCK, name=plan.name, namespace=plan.namespace, acquired=time.time()
    )
    return msgspec.structs.replace(row, purpose=f"outputs of job {plan.name}", expires=None)


def _opened(directory: Path, uid: str, term: int, plan: Plan) -> DiskStore:
    return DiskStore.open(directory, uid=uid, quota_bytes=plan.output.size, term=term)


async def _begin_or_go_on(volume: Volume, uid: str, plan: Plan) -> tuple[DiskStore, int]:
    """The store, and how often its run was resumed."""
    now = await asyncio.to_thread(origin_of, plan)
    store = _opened(volume.store, uid, volume.term, plan)
    try:
        begun = await store.get_value(_ORIGIN)
        found = () if begun is None else _changes(begun, now)
        unfinished = begun is not None and await store.get_value(DELIVERED) is None
        if unfinished and found and holds_work(volume.store):
            raise _changed(plan, committed_chunks(volume.store), found)
        if unfinished and not found:
            resumes = int(await store.get_value(_RESUMES) or b"0") + 1
            await store.put_value(_RESUMES, str(resumes).encode())
            return store, resumes
        if begun is not None:
            await store.close()
            volume.clear()
            store = _opened(volume.store, uid, volume.term, plan)
        await store.put_value(_ORIGIN, msgspec.msgpack.encode(now))
    except BaseException:
        await store.close()
        raise
    return store, 0


def refuse_changed(state: StateDirectory, plan: Plan) -> None:
    """Raise JobChangedError for a job that cannot go on as its file says now: known before anything of it starts.

    Files are compared when the job is: those before it may yet write them. Of one that runs it is said when it is
    opened who runs it.
    """
    path = state.job_path(plan.namespace, plan.name)
    if serving_process(path):
        return
    directory = path / "store"
    begun = stored_value(directory, _ORIGIN)
    if begun is None or stored_value(directory, DELIVERED) is not None or not holds_work(directory):
        return
    with contextlib.suppress(*UNREADABLE):
        before = msgspec.msgpack.decode(begun, type=Origin)
        if found := changes(Origin(before.plan, {}), Origin(plan, {})):
            raise _changed(plan, committed_chunks(directory), found)


def _changes(begun: bytes, now: Origin) -> tuple[str, ...]:
    try:
        return changes(msgspec.msgpack.decode(begun, type=Origin), now)
    except UNREADABLE:
        return ("another release of leasegrid began it",)


def _changed(plan: Plan, chunks: int, found: tuple[str, ...]) -> JobChangedError:
    return JobChangedError(
        f"{plan.name} has an unfinished run, {words.count(chunks, 'chunk')} done, that was begun from something else: "
        f"{in_words(found)}",
        remedy=f"undo that to go on with it; to take what is done: leasegrid results {plan.name} DIR; "
        "to begin anew, which deletes it: --restart",
    )


def holds_work(directory: Path) -> bool:
    """True for a job's store with outcomes of chunks, or checkpoints of one that is not done."""
    checkpoints = directory / "checkpoints"
    return committed_chunks(directory) > 0 or (checkpoints.is_dir() and any(checkpoints.iterdir()))


def discard(state: StateDirectory, plan: Plan) -> str:
    """Delete what an earlier run of the job has left; returns in words what that was, empty where there was nothing.

    Raises StateDirectoryError: another run has it.
    """
    path = state.job_path(plan.namespace, plan.name)
    if not path.exists():
        return ""
    volume = state.hold_job(plan.namespace, plan.name)
    chunks = committed_chunks(volume.store)
    receipt = state.delete(volume, "Restarted")
    return f"{words.count(chunks, 'chunk')}, {words.size(receipt.volume_bytes)}"


async def keep_store(
    state: StateDirectory, hold: JobStoreHold, until: float | None, *, delivered: bool = True
) -> Kept | None:
    """Close the store and keep its outputs until that UNIX second; None: its job goes on when it is run again.

    With a deadline too it goes on when it has not finished (its own `activeDeadlineSeconds` were over), and hands over
    again unless it was `delivered`. Returns what is kept; None when there is nothing to keep, and then nothing stays.
    """
    used = await hold.store.used_bytes()
    if hold.volume is None or hold.row is None:
        await hold.close()
        shutil.rmtree(hold.directory, ignore_errors=True)
        return None
    state.enter(hold.volume, msgspec.structs.replace(hold.row, expires=until))
    if until is not None and delivered and await hold.store.get_value(FINISHED) is not None:
        # After its deadline, and not before: a run that dies in between hands over once more, and leaves nothing kept
        # for ever.
        await hold.store.put_value(DELIVERED, b"1")
    await hold.close()
    hold.volume.release()
    return Kept(str(hold.volume.path), used, until or 0.0)


async def drop_store(state: StateDirectory, hold: JobStoreHold) -> None:
    """Close the store and delete it at once."""
    await hold.close()
    if hold.volume is None:
        shutil.rmtree(hold.directory, ignore_errors=True)
    else:
        state.delete(hold.volume, "Finished")


@dataclass
class Caches:
    """The caches of one job, each a Block lease that outlives it. Several stages may use one."""

    state: StateDirectory
    _volumes: dict[str, tuple[Volume, CacheSettings]] = field(default_factory=dict)
    _opened: list[ResultCache] = field(default_factory=list)

    async def open(self, settings: CacheSettings) -> ResultCache:
        """Open a cache by its name. Raises StoreError: another run has it, or its disk fails."""
        try:
            volume = self._volume(settings)
        except StateDirectoryError as error:
            # To its user a cache is a store: without it the job is slower, and must not fail.
            raise StoreError(error.cause, remedy=error.remedy) from error
        cache = await ResultCache.open(volume.store, settings)
        self._opened.append(cache)
        return cache

    async def close(self) -> None:
        """Close all; each is kept for its `retainSeconds` from now on."""
        with contextlib.ExitStack() as stack:
            for volume, _ in self._volumes.values():
                stack.callback(volume.release)
            for cache in self._opened:
                await cache.close()
            for volume, settings in self._volumes.values():
                self._enter(volume, settings)
        self._volumes.clear()

    def _volume(self, settings: CacheSettings) -> Volume:
        if settings.name not in self._volumes:
            self._volumes[settings.name] = (self.state.hold_cache(settings.name), settings)
            self._enter(*self._volumes[settings.name])
        return self._volumes[settings.name][0]

    def _enter(self, volume: Volume, settings: CacheSettings) -> None:
        now = time.time()
        row = self.state.row_of(volume) or LeaseRow(
            uid=new_uid(), resource=Resource.BLOCK, name=settings.name, purpose="cache of results", acquired=now
        )
        self.state.enter(volume, msgspec.structs.replace(row, expires=now + settings.retain_seconds))
