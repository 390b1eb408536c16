"""The loop that applies the rule of the election, and what the rest of the process knows of it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import urlsplit

from leasegrid_operator.cluster import Cluster, Object
from leasegrid_operator.errors import ClusterError, ConflictError, NotFoundError
from leasegrid_operator.leading import (
    ADDRESS,
    LEASE_SECONDS,
    RENEW_DEADLINE_SECONDS,
    RETRY_SECONDS,
    Acquire,
    Candidate,
    Decision,
    Follow,
    Lost,
    Observed,
    Renew,
    decide,
    record_of,
)
from leasegrid_operator.logs import Action, log
from leasegrid_operator.resources import COORDINATION_LEASES, ObjectKey

NAME = "leasegrid-operator"
REQUEST_SECONDS = 5.0
"""So that a request that hangs leaves time for another before the leader has to give up."""

PROBE_SECONDS = 0.5
"""How long a leader's address may take to refuse, and how often it is asked again once it did."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Clocks:
    """`monotonic` in seconds for the rule; `wall` for what people read in the record."""

    monotonic: Callable[[], float]
    wall: Callable[[], datetime]


class Leadership:
    """One replica in the election for `namespace`. Run `run()` as a task; cancel it to give the record back."""

    def __init__(self, cluster: Cluster, namespace: str, candidate: Candidate, clocks: Clocks) -> None:
        self._cluster = cluster
        self._key = ObjectKey(namespace, NAME)
        self._candidate = candidate
        self._clocks = clocks
        self._observed = Observed(None, clocks.monotonic())
        self._leader_address = ""
        self._changed = asyncio.Event()

    @property
    def is_leader(self) -> bool:
        """True while we lead. Becomes False by the clock alone too: before anybody else may lead."""
        renewed = self._observed.renewed
        return renewed is not None and self._clocks.monotonic() - renewed < RENEW_DEADLINE_SECONDS

    @property
    def leader_address(self) -> str:
        """Where the leader's broker is reached; empty while nobody is known to lead."""
        return self._candidate.address if self.is_leader else self._leader_address

    async def changed(self) -> None:
        """Returns when we begin to lead, cease to, or see another leader."""
        await self._changed.wait()

    async def run(self) -> None:
        """Take part until cancelled; then give the record back, so that the next one leads at once."""
        try:
            while True:
                await self._turn()
                await asyncio.sleep(RETRY_SECONDS if self._observed.refused is None else PROBE_SECONDS)
        finally:
            await self._release()

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                if self._observed.renewed is None:
                    await self._read()
                    await self._probe()
                await self._apply(self._decision())
        except ConflictError:  # somebody else wrote first: what they wrote decides
            await self._read_after_conflict()
        except (ClusterError, TimeoutError) as error:
            log(_logger, logging.WARNING, Action.ELECTION_FAILED, str(error) or "no answer in time")
        # Asked again also after a failure: who could not renew has to cease in time.
        if isinstance(decision := self._decision(), Lost):
            self._cease(decision.why)

    def _decision(self) -> Decision:
        return decide(self._observed, self._candidate.identity, self._clocks.monotonic())

    async def _read_after_conflict(self) -> None:
        with contextlib.suppress(ClusterError, TimeoutError):
            async with asyncio.timeout(REQUEST_SECONDS):
                await self._read()

    async def _read(self) -> None:
        try:
            record = record_of(await self._cluster.get(COORDINATION_LEASES, self._key))
        except NotFoundError:
            record = None
        before = self._observed
        same = record is not None and before.record is not None and record.stamp == before.record.stamp
        changed = before.changed if same else self._clocks.monotonic()
        self._observed = replace(before, record=record, changed=changed)

    async def _probe(self) -> None:
        """Whether a process stands behind the leader's address."""
        record, since = self._observed.record, self._observed.refused
        if record is None or record.holder == self._candidate.identity or not await _refuses(record.address):
            self._observed = replace(self._observed, refused=None)
        elif since is None:
            self._observed = replace(self._observed, refused=self._clocks.monotonic())

    async def _apply(self, decision: Decision) -> None:
        match decision:
            case Acquire():
                await self._acquire()
            case Renew():
                await self._hold({"renewTime": self._wall()})
            case Follow(address):
                self._follow(address)
            case Lost(why):
                self._cease(why)

    async def _acquire(self) -> None:
        record, now = self._observed.record, self._wall()
        spec: Object = {
            "holderIdentity": self._candidate.identity,
            "leaseDurationSeconds": round(LEASE_SECONDS),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": record.transitions + 1 if record else 0,
        }
        await self._hold(spec)
        log(_logger, logging.INFO, Action.LEADERSHIP_ACQUIRED, f"{self._candidate.identity} leads")
        self._announce()

    async def _hold(self, spec: Object) -> None:
        # The instant before the request: the server's clock of the record starts no earlier.
        began, record = self._clocks.monotonic(), self._observed.record
        metadata = {"name": NAME, "namespace": self._key.namespace, "annotations": {ADDRESS: self._candidate.address}}
        if record is None:
            written = await self._cluster.create(COORDINATION_LEASES, {"metadata": metadata, "spec": spec})
        else:
            body = {"metadata": {**metadata, "resourceVersion": record.version}, "spec": spec}
            written = await self._cluster.patch(COORDINATION_LEASES, self._key, body)
        self._observed = Observed(record_of(written), changed=began, renewed=began)

    def _follow(self, address: str) -> None:
        if address != self._leader_address:
            self._leader_address = address
            log(_logger, logging.INFO, Action.LEADER_FOLLOWED, f"the leader is at {address or 'an unknown address'}")
            self._announce()

    def _cease(self, why: str) -> None:
        self._observed = replace(self._observed, renewed=None)
        self._leader_address = ""
        log(_logger, logging.WARNING, Action.LEADERSHIP_LOST, why)
        self._announce()

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _release(self) -> None:
        record = self._observed.record
        if not self.is_leader or record is None:
            return
        self._observed = replace(self._observed, renewed=None)
        spec = {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": self._wall()}
        body = {"metadata": {"resourceVersion": record.version, "annotations": {ADDRESS: None}}, "spec": spec}
        with contextlib.suppress(ClusterError, TimeoutError):  # it runs out by itself then
            async with asyncio.timeout(REQUEST_SECONDS):
                await self._cluster.patch(COORDINATION_LEASES, self._key, body)
                log(_logger, logging.INFO, Action.LEADERSHIP_RELEASED, f"{self._candidate.identity} gave it back")
        self._announce()

    def _wall(self) -> str:
        return self._clocks.wall().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def _refuses(address: str) -> bool:
    """True when nobody listens there; an address that does not answer at all, or is none, refuses nothing."""
    parts = urlsplit(address)
    if not parts.hostname or not parts.port:
        return False
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    except ConnectionRefusedError:
        return True
    except (OSError, TimeoutError):
        return False
    writer.close()
    return False
