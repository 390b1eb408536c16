"""The stores of a run on this machine: the job's own, in the state directory under a Block lease, and its caches."""

import contextlib
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from leasegrid.cli.endings import Kept
from leasegrid.cli.origins import origin
from leasegrid.local.books import LeaseRow, Resource
from leasegrid.local.runtime import RuntimeDirectory
from leasegrid.local.state import StateDirectory, new_uid
from leasegrid.local.volumes import Volume
from tasklet_runner.plan.types import CacheSettings, Plan
from tasklet_runner.store.cache import ResultCache
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.server import StoreServer, serve
from tasklet_runner.wire.errors import StateDirectoryError, StoreError

FINISHED = "finished"
"""The coordinator's record that a job has ended: its name starts anew."""

PLAN = "plan"
"""The coordinator's record of what runs."""

REPORT = "report"
"""This command's record of how a run ended, for those who ask later."""

_ORIGIN = "origin"


@dataclass(frozen=True)
class JobStoreHold:
    """A job's store while this command serves it. `volume` None: nothing is kept, it ends with the run."""

    store: DiskStore
    server: StoreServer
    directory: Path
    volume: Volume | None
    row: LeaseRow | None

    async def close(self) -> None:
        """Stop serving; everything is durable. A second call does nothing."""
        await self.server.close()
        await self.store.close()


async def open_job_store(
    state: StateDirectory, runtime: RuntimeDirectory, plan: Plan, coordinator_key: Ed25519PublicKey, number: int
) -> JobStoreHold:
    """Open the store of a job, begin anew where its last run has finished or was another plan, and serve it to members.

    `number`: the job's place in this run. Raises StateDirectoryError (another run has it), StoreError.
    """
    if plan.output.store == "None":
        directory, volume, row = runtime.path / f"job-{number}", None, None
    else:
        volume = state.hold_job(plan.namespace, plan.name)
        directory, row = volume.store, _enter(state, volume, plan)
    store: DiskStore | None = None
    try:
        store = await _open(directory, plan, volume, row)
        server = await serve(store, runtime.store_socket(number), coordinator_key)
    except BaseException:
        if store is not None:
            await store.close()
        if volume is not None:
            volume.release()
        raise
    return JobStoreHold(store, server, directory, volume, row)


def _enter(state: StateDirectory, volume: Volume, plan: Plan) -> LeaseRow:
    row = state.row_of(volume) or LeaseRow(
        uid=new_uid(), resource=Resource.BLOCK, name=plan.name, namespace=plan.namespace, acquired=time.time()
    )
    return state.enter(volume, msgspec.structs.replace(row, purpose=f"outputs of job {plan.name}", expires=None))


async def _open(directory: Path, plan: Plan, volume: Volume | None, row: LeaseRow | None) -> DiskStore:
    uid = row.uid if row is not None else new_uid()
    term = volume.term if volume is not None else 1
    wanted = origin(plan)
    store = DiskStore.open(directory, uid=uid, quota_bytes=plan.output.size, term=term)
    begun = await store.get_value(_ORIGIN)
    if begun == wanted and await store.get_value(FINISHED) is None:
        return store
    if begun is not None:
        await store.close()
        shutil.rmtree(directory)
        store = DiskStore.open(directory, uid=uid, quota_bytes=plan.output.size, term=term)
    await store.put_value(_ORIGIN, wanted)
    return store


async def keep_store(state: StateDirectory, hold: JobStoreHold, until: float | None) -> Kept | None:
    """Close the store and keep its outputs until that UNIX second (None: until the job runs again and finishes).

    Returns what is kept; None when there is nothing to keep, and then nothing stays.
    """
    used = await hold.store.used_bytes()
    await hold.close()
    if hold.volume is None or hold.row is None:
        shutil.rmtree(hold.directory, ignore_errors=True)
        return None
    state.enter(hold.volume, msgspec.structs.replace(hold.row, expires=until))
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
