"""What a Memory or Block lease uses of a member: write-once objects in a directory, for as long as the claim stands.

Memory: the directory is wiped before the first lease and at the end of it. Block: it is a volume that outlives this
process. Lease and epoch of a bind are durable on it before the bind is answered, so that a successor goes on at that
epoch; nothing on it is ever erased here, and it never serves a second lease.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from tasklet_runner.member.bell import Bell
from tasklet_runner.member.facility import Warden
from tasklet_runner.member.settings import MemberSettings
from tasklet_runner.member.wiping import wipe
from tasklet_runner.store.disk import DiskStore
from tasklet_runner.store.failures import StoreName
from tasklet_runner.store.locks import DirectoryLock
from tasklet_runner.wire.errors import RefusedError
from tasklet_runner.wire.member import Counters, Role
from tasklet_runner.wire.statements import Bind

MAX_SESSIONS = 1024
"""Of one claim; the oldest gives way."""

Value = TypeVar("Value")


class Shelf:
    """The `Facility` of a store member. `bell`: rung for those who wait at queues; `begun`: it has had a claim."""

    def __init__(self, settings: MemberSettings) -> None:
        self.bell = Bell()
        self._role = settings.role
        self._directory = settings.store
        self._name = StoreName(
            settings.name,
            settings.store,
            settings.quota,
            enlarge="lease from a pool with a larger storage.size",
            move="give the pool's volumes more space than storage.size",
        )
        self._opened: DiskStore | None = None
        self.begun = False
        self._sessions: dict[bytes, None] = {}
        self._transfers: set[asyncio.Task[Any]] = set()

    @property
    def store(self) -> DiskStore:
        """The objects. Raises RefusedError (NotReady) before `open` and after `clear`."""
        if self._opened is None:
            raise RefusedError("NotReady", f"{self._name} is not open", remedy="try again, or ask for another member")
        return self._opened

    @property
    def epoch(self) -> int:
        """The last epoch that is written on the volume."""
        return self._opened.term if self._opened is not None else 0

    @property
    def kept_lease_uid(self) -> str:
        """The lease to which the volume belongs, if its objects outlive the process."""
        return self._opened.owner if self._role is Role.BLOCK and self._opened is not None else ""

    @property
    def used_bytes(self) -> int:
        """Bytes of all objects."""
        return self._opened.quota_bytes - self._opened.room if self._opened is not None else 0

    def attach(self, warden: Warden) -> None:
        """A store member has no mishaps to tell: each request hears of its own."""

    async def open(self) -> None:
        """Lock the directory for this process's life and read what is there. Raises StateDirectoryError, StoreError."""
        self._opened = await asyncio.to_thread(self._open)

    def check(self, bind: Bind) -> None:
        """Refuse a lease for which a volume with another's objects is meant."""
        if self._opened is None or self._opened.empty or self._opened.owner == bind.lease_uid:
            return
        # The other lease is not named: a volume is for its own holder's eyes.
        raise RefusedError(
            "Conflict", f"the volume of {self._name.uid} holds objects of another lease", remedy="bind another member"
        )

    def begin(self, bind: Bind) -> None:
        """Write lease and epoch down: from now on writers of older epochs are refused, whoever serves the volume."""
        self.store.take(bind.lease_uid, bind.epoch)
        self.begun = True

    def open_session(self) -> str:
        """A new session's token: whoever bears it is the holder, until the claim ends."""
        token = secrets.token_urlsafe(32)
        self._sessions[_digest(token)] = None
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        return token

    def has_session(self, token: str) -> bool:
        """True while the session lasts."""
        return _digest(token) in self._sessions

    async def transfer(self, work: Coroutine[Any, Any, Value]) -> Value:
        """Run one request's work; RefusedError (LeaseExpired) when the claim ends before it is done."""
        task = asyncio.create_task(work)
        self._transfers.add(task)
        task.add_done_callback(self._transfers.discard)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller is not None and caller.cancelling():
                raise
            raise ended() from None

    async def settle(self) -> None:
        """What was put so far is durable when the call returns, if it is meant to outlive the process."""
        if self._role is Role.BLOCK:
            await self.store.sync()

    async def until_idle(self) -> None:
        """Wait until no request is under way."""
        if self._transfers:
            await asyncio.wait(self._transfers)

    async def warn(self, why: str) -> None:
        """Nobody is connected for long; who asks next is refused, and who waits at a queue is told at once."""
        self.bell.ring_all()

    def stop(self) -> None:
        """End all sessions and cut off what is under way."""
        self._sessions.clear()
        self.bell.ring_all()
        for task in self._transfers:
            # Once: a second cancellation would break off the clearing up after the first.
            if not task.cancelling():
                task.cancel()

    async def dismiss(self, reason: str) -> None:
        """Wait until what was cut off has left the store."""
        self.stop()
        await asyncio.gather(*self._transfers, return_exceptions=True)

    def counters(self) -> Counters:
        """No tasklets ran here."""
        return Counters()

    async def clear(self) -> int:
        """Memory: wipe; the bytes that were wiped. Block: make everything durable and let the volume go as it is."""
        opened, self._opened = self._opened, None
        if opened is None:
            return 0
        await opened.close()
        return wipe(self._directory) if self._role is Role.MEMORY else 0

    def _open(self) -> DiskStore:
        with self._name.translated():
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._role is Role.MEMORY:
                _wipe_leftovers(self._directory)
        return DiskStore.open_volume(self._name, durable=self._role is Role.BLOCK)


def ended() -> RefusedError:
    """The claim is over."""
    return RefusedError("LeaseExpired", "the lease has ended at this store", remedy="acquire a new lease")


def _wipe_leftovers(directory: Path) -> None:
    # Under the lock: what another process serves is not left over.
    lock = DirectoryLock(directory)
    try:
        wipe(directory)
    finally:
        lock.release()


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
