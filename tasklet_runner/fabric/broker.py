"""ClusterFabric: leases of a cluster, through the operator's broker. The coordinator cannot tell it from a local one.

Tokens open `acquire`; everything else goes by the lease's own capability and the holder's key where there is one, so
that leases are renewed while the API server is away. A lease that was acquired by a process before this one has no
capability here, and goes by the token, until its first view came.
"""

from types import TracebackType
from typing import Self
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from tasklet_runner.fabric.answers import Reply, decoded, together
from tasklet_runner.fabric.calls import Ask, BrokerAccess, BrokerCalls
from tasklet_runner.fabric.protocol import LeaseRequest, LeaseView, Receipt
from tasklet_runner.wire.broker import WATCH_SECONDS, LostReport, ResizeRequest
from tasklet_runner.wire.errors import LeaseEndedError, RefusedError, SignatureError
from tasklet_runner.wire.jobs import Instruction, JobReport

MAX_KNOWN = 10_000
"""Leases that are remembered, ended ones included."""

GRACE_SECONDS = 10.0
"""An answer may take so much longer than the broker itself may wait."""

NAMES_AT_ONCE = 200
"""Members that are given back in one request: a body has 64 KiB at most."""

RELEASE_SECONDS = 60.0
"""A release is answered when the members have been wiped."""


class ClusterFabric:
    """Implements `Fabric`. Use it as an async context manager; at its end leases stay, until released or expired.

    Beside what `Fabric` says, every call raises RefusedError (Unauthenticated, Forbidden) in words that help.
    """

    def __init__(self, access: BrokerAccess, own: LeaseView | None = None) -> None:
        """`own`: the lease of a job's coordinator, by which it acquires others below it; then no token is needed."""
        self._calls = BrokerCalls(access)
        self._namespace = access.namespace
        self._namespaces: dict[str, str] = {}
        self._views: dict[str, LeaseView] = {}
        self._own = own.uid if own is not None else ""
        if own is not None:
            self._views[own.uid] = own

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._calls.close()

    async def acquire(self, request: LeaseRequest) -> LeaseView:
        """See `Fabric.acquire`."""
        path = f"/v1/namespaces/{quote(request.namespace, safe='')}/leases"
        patience = request.queue_timeout_seconds + GRACE_SECONDS
        if self._own:
            ask = Ask("POST", f"{self._path(self._own)}/leases", msgspec.json.encode(request), timeout_seconds=patience)
            view = await self._as_holder(self._own, ask, LeaseView)
        else:
            ask = Ask("POST", path, msgspec.json.encode(request), timeout_seconds=patience)
            view = decoded(await self._calls.send(ask), LeaseView)
        self._namespaces[view.uid] = request.namespace
        if len(self._namespaces) > MAX_KNOWN:
            oldest = next(iter(self._namespaces))
            del self._namespaces[oldest]
            self._views.pop(oldest, None)
        return self._learn(view)

    async def watch(self, uid: str, version: int) -> LeaseView:
        """See `Fabric.watch`."""
        ask = Ask("GET", f"{self._path(uid)}?version={version}", timeout_seconds=WATCH_SECONDS + GRACE_SECONDS)
        return self._learn(await self._as_holder(uid, ask, LeaseView))

    async def renew(self, uid: str) -> LeaseView:
        """See `Fabric.renew`. While the leader is away any other replica renews, capability by capability."""
        ask = Ask("POST", f"{self._path(uid)}/renew")
        before = self._views.get(uid)
        view = await self._as_holder(uid, ask, LeaseView)
        if view.version or before is None:
            return self._learn(view)
        rest = [decoded(await self._calls.send(_opened_by(ask, one)), LeaseView)
                for one in before.capabilities[1:]]  # fmt: skip
        views = [view, *rest]
        whole = next((one for one in views if one.version), None)
        if whole is not None:
            return self._learn(whole)
        capabilities = tuple(capability for one in views for capability in one.capabilities)
        expires_in = min(one.expires_in for one in views)
        return self._learn(replace(before, capabilities=capabilities, expires_in=expires_in))

    async def resize(self, uid: str, count: int, give_back: tuple[str, ...] = ()) -> LeaseView:
        """See `Fabric.resize`."""
        while len(give_back) > NAMES_AT_ONCE:
            await self._resize(uid, count, give_back[:NAMES_AT_ONCE])
            give_back = give_back[NAMES_AT_ONCE:]
        return await self._resize(uid, count, give_back)

    async def report_lost(self, uid: str, member: str, reason: str) -> LeaseView:
        """See `Fabric.report_lost`."""
        body = msgspec.json.encode(LostReport(member=member, reason=reason[:1024]))
        ask = Ask("POST", f"{self._path(uid)}/lost", body, timeout_seconds=RELEASE_SECONDS)
        return self._learn(await self._as_holder(uid, ask, LeaseView))

    async def release(self, uid: str, reason: str = "Finished") -> Receipt:
        """See `Fabric.release`. While the leader is away any other replica releases, capability by capability."""
        ask = Ask("DELETE", f"{self._path(uid)}?reason={quote(reason[:128], safe='')}", timeout_seconds=RELEASE_SECONDS)
        before = self._views.get(uid)
        receipts = [await self._as_holder(uid, ask, Receipt)]
        for capability in before.capabilities[1:] if before is not None else ():
            another = decoded(await self._calls.send(_opened_by(ask, capability)), Receipt)
            if another == receipts[0]:
                break  # the leader's, which is of the whole lease
            receipts.append(another)
        self._views.pop(uid, None)
        return together(receipts)

    async def report(self, report: JobReport) -> Instruction:
        """Say how the coordinator's job is. Raises LeaseEndedError where the operator knows no such job any more."""
        ask = Ask("POST", f"{self._path(self._own)}/progress", msgspec.json.encode(report))
        return await self._as_holder(self._own, ask, Instruction)

    def adopt(self, view: LeaseView, namespace: str) -> None:
        """Know a lease that somebody else acquired for the same holder."""
        self._namespaces[view.uid] = namespace
        self._learn(view)

    async def _resize(self, uid: str, count: int, give_back: tuple[str, ...]) -> LeaseView:
        body = msgspec.json.encode(ResizeRequest(count=count, give_back=give_back))
        ask = Ask("POST", f"{self._path(uid)}/resize", body, timeout_seconds=RELEASE_SECONDS)
        return self._learn(await self._as_holder(uid, ask, LeaseView))

    async def _as_holder(self, uid: str, ask: Ask, kind: type[Reply]) -> Reply:
        """By the capability where there is one; by the token where there is none, or where it is not believed."""
        view = self._views.get(uid)
        try:
            if view is None or not view.capabilities:
                return decoded(await self._calls.send(ask), kind)
            try:
                return decoded(await self._calls.send(_opened_by(ask, view.capabilities[0])), kind)
            except (RefusedError, SignatureError):
                # The fabric's key may be another by now, or the lease another holder's.
                return decoded(await self._calls.send(ask), kind)
        except LeaseEndedError:
            self._views.pop(uid, None)
            raise

    def _learn(self, view: LeaseView) -> LeaseView:
        known = self._views.get(view.uid)
        if view.ended:
            self._views.pop(view.uid, None)
        elif known is None or known.version <= view.version:
            # A lease that has given all its members back has no capability, and is still watched, enlarged and
            # released: what it had opens the broker's door as long as it lives.
            opens = view.capabilities or (known.capabilities if known is not None else ())
            self._views[view.uid] = replace(view, capabilities=opens)
        return view

    def _path(self, uid: str) -> str:
        namespace = self._namespaces.get(uid, self._namespace)
        return f"/v1/namespaces/{quote(namespace, safe='')}/leases/{quote(uid, safe='')}"


def _opened_by(ask: Ask, capability: str) -> Ask:
    """The same request, opened by this capability."""
    return Ask(ask.method, ask.path, ask.body, capability, ask.timeout_seconds)
