"""Who may use a leased store: whoever bears a session of the claim, or a grant that its holder signed."""

import time
from typing import TypeVar

from aiohttp import web

from tasklet_runner.member.core import MemberCore
from tasklet_runner.member.shelf import Shelf, ended
from tasklet_runner.member.states import Claim
from tasklet_runner.store.checkpoint_serving import Writer, writer_by_grant, writer_by_session
from tasklet_runner.store.grants import Allowance, check_grant, require_below
from tasklet_runner.wire.errors import RefusedError
from tasklet_runner.wire.signed import public_key, verify
from tasklet_runner.wire.statements import CheckpointGrant, GetGrant, PutGrant
from tasklet_runner.wire.store import GRANT_HEADER, SESSION_HEADER
from tasklet_runner.wire.store_access import EVERYTHING

Grant = TypeVar("Grant", PutGrant, GetGrant, CheckpointGrant)


class Access:
    """Asks the core which claim stands. Every call raises RefusedError, StoreFencedError or SignatureError."""

    def __init__(self, core: MemberCore, shelf: Shelf) -> None:
        self._core = core
        self._shelf = shelf

    def require_session(self, request: web.Request) -> None:
        """Return for a session of the claim that stands."""
        if not self._shelf.has_session(request.headers.get(SESSION_HEADER, "")):
            if self._core.claim is None and self._shelf.begun:
                raise ended()
            # Of a member that never had a claim, it was a session with another one at this address: let him see that.
            raise RefusedError("NoSession", "there is no such session here", remedy="open one: POST /v1/session")
        self._standing()

    def bytes_for(self, request: web.Request, key: str) -> int:
        """How many bytes the asker may put under this key: by session as many as there is room for."""
        if GRANT_HEADER not in request.headers:
            self.require_session(request)
            return self._shelf.store.quota_bytes
        grant = self._granted(request, PutGrant)
        require_below(grant.key_prefix, key)
        return grant.max_bytes - self._shelf.store.bytes_beside(key, grant.key_prefix)

    def allowance(self, request: web.Request) -> Allowance:
        """What the asker may put in a batch."""
        if GRANT_HEADER not in request.headers:
            self.require_session(request)
            return Allowance(self._shelf.store.quota_bytes)
        return Allowance.of(self._granted(request, PutGrant))

    def checkpoint_writer(self, request: web.Request, key: str) -> Writer:
        """Who asks for a checkpoint: the holder itself, or whom it granted this key."""
        if GRANT_HEADER not in request.headers:
            self.require_session(request)
            return writer_by_session(request, self._shelf.store.quota_bytes)
        return writer_by_grant(self._granted(request, CheckpointGrant), key)

    def require(self, request: web.Request, kind: type[PutGrant] | type[GetGrant], *keys: str) -> None:
        """Return for a session, or a grant of this kind that covers these keys (or queues)."""
        if GRANT_HEADER not in request.headers:
            self.require_session(request)
            return
        prefix = (self._granted(request, PutGrant) if kind is PutGrant else self._granted(request, GetGrant)).key_prefix
        if kind is GetGrant and prefix == EVERYTHING:
            return
        for key in keys:
            require_below(prefix, key)

    def require_reader(self, request: web.Request) -> None:
        """Return for who may read all of the store: a session, or a grant of everything."""
        if GRANT_HEADER not in request.headers:
            self.require_session(request)
        elif self._granted(request, GetGrant).key_prefix != EVERYTHING:
            raise RefusedError("NotGranted", "that takes a grant of everything", remedy="ask for one")

    def _granted(self, request: web.Request, kind: type[Grant]) -> Grant:
        claim = self._standing()
        grant = verify(request.headers[GRANT_HEADER], kind, public_key(claim.holder_key))
        # The holder has its idea of the time from the fabric that signed the claim, not from this machine's clock.
        now = claim.signers_clock(time.monotonic())
        store = self._shelf.store
        # Where a job's coordinator writes, what an earlier one has granted is over with its term.
        check_grant(grant, store_uid=claim.lease_uid, term=store.writer_term or store.term, now=now)
        return grant

    def _standing(self) -> Claim:
        claim = self._core.claim
        if claim is None:
            raise ended() if self._shelf.begun else _unbound()
        if not self._core.serving:
            raise RefusedError("NotReady", "the member is about to go", remedy="ask for its successor")
        return claim


def _unbound() -> RefusedError:
    """It cannot know whether any lease has ended: whoever comes had his with another member at this address."""
    return RefusedError("NotReady", "no lease is bound to this store yet", remedy="read the lease's status, try again")
