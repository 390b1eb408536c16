"""What a keeper makes of what it sees, without an API server: orders of events that a watch may bring."""

import asyncio
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.leasing.binding import Binder
from leasegrid.leasing.leases import Held, LeaseRecord
from leasegrid.leasing.parts import Disposal, Parts
from leasegrid.leasing.roster import Roster, take_hint
from leasegrid.leasing.signing import Signer, SteadyClock
from leasegrid.rules.pool_state import Pending
from leasegrid.rules.reasons import WarmupFailure
from leasegrid_operator.pools.keeping import PoolKeeper
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.wire.member import Hint, MemberState
from tests.unit.operator.pools.examples import SETTINGS, ended, seen_pod


class Nothing:
    """A ledger and a host without leases."""

    def write_down(self, record: LeaseRecord) -> None:
        """Nowhere."""

    def close_account(self, record: LeaseRecord, receipt: Receipt) -> None:
        """Nowhere."""

    async def vanish(self, record: LeaseRecord, silent: Sequence[Held]) -> Sequence[Held]:
        """Nobody."""
        return silent

    async def dispose(self, record: LeaseRecord, held: Sequence[Held]) -> Disposal:
        """Nothing."""
        return Disposal()


class Nowhere:
    """A cluster that takes every write and keeps none."""

    async def delete(self, *_: object, **__: object) -> None:
        """Taken."""

    async def list(self, *_: object, **__: object) -> Any:  # noqa: ANN401 - never looked at
        """Never asked."""


def keeper() -> PoolKeeper:
    """A keeper that has seen the pool `cpu` of the examples."""
    clock = SteadyClock()
    signer, roster = Signer(Ed25519PrivateKey.generate(), clock), Roster(0.0)
    nothing = Nothing()
    parts = Parts({}, roster, Binder(roster, signer), signer, clock, nothing, nothing, lambda: None)
    made = PoolKeeper(parts, Nowhere(), SETTINGS, "team")  # type: ignore[arg-type] # only what is used here
    metadata = {"name": "cpu", "namespace": "team", "uid": "0123456789", "generation": 1, "resourceVersion": "1"}
    pool = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": "InstancePool", "metadata": metadata, "spec": {}}
    made.pool_seen(pool, False)
    return made


def test_a_member_that_has_crashed_before_it_was_seen_counts_as_a_failure_once() -> None:
    async def story() -> None:
        keeping = keeper()
        (kept,) = keeping.pools.all()
        kept.pending = (Pending("cpu-01234-7", 0.0), Pending("cpu-01234-8", 0.0))
        for _ in range(2):
            keeping.pod_seen(seen_pod(ended(7)), False)

        assert [one.name for one in kept.pending] == ["cpu-01234-8"]
        assert (kept.pool.failures.count, kept.pool.failures.reason) == (1, WarmupFailure.CRASH)
        assert "exit code 7" in kept.pool.failures.message
        await keeping.close()

    asyncio.run(story())


def test_a_pod_that_is_seen_before_its_pool_is_a_member_as_soon_as_that_is_seen() -> None:
    async def story() -> None:
        keeping = keeper()
        other = seen_pod(ownerReferences=[{"kind": "InstancePool", "uid": "another", "controller": True}])
        keeping.pod_seen(other, False)
        assert keeping.members.find("cpu-01234-7") is None

        metadata = {"name": "late", "namespace": "team", "uid": "another", "generation": 1, "resourceVersion": "1"}
        pool = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": "InstancePool", "metadata": metadata, "spec": {}}
        keeping.pool_seen(pool, False)
        found = keeping.members.find("cpu-01234-7")
        assert found is not None
        assert found[0].owner.name == "late"
        await keeping.close()

    asyncio.run(story())


def test_a_deletion_of_which_only_name_and_uid_are_known_is_enough() -> None:
    async def story() -> None:
        keeping = keeper()
        lost: list[str] = []
        keeping.on_lost = lambda member, cause: lost.append(member.name)
        keeping.pod_seen(seen_pod(), False)
        keeping.pod_seen({"metadata": {"name": "cpu-01234-7", "namespace": "team", "uid": "another"}}, True)
        assert lost == []
        keeping.pod_seen({"metadata": {"name": "cpu-01234-7", "namespace": "team", "uid": "pod-uid"}}, True)
        assert lost == ["cpu-01234-7"]
        await keeping.close()

    asyncio.run(story())


def test_a_member_that_answers_counts_though_nobody_hears_of_its_node() -> None:
    async def story() -> None:
        keeping = keeper()
        status = {"phase": "Running", "podIP": "127.0.0.9"}
        pod = seen_pod(status)
        keeping.pod_seen({**pod, "spec": {**pod["spec"], "nodeName": "far"}}, False)
        (member,) = (seen.member for seen in keeping.pools.all()[0].pods.values())
        answer = Hint(member=member.name, incarnation="one", epoch=0, state=MemberState.READY)
        assert take_hint(member, answer, 0.0)
        silence = {"metadata": {"name": "far"}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
        gone: list[bool] = []

        def look() -> None:
            keeping.members.look_at_doubtful()
            gone.append(member.gone_at is not None)

        keeping.node_seen(silence, False)
        look()  # it is to be asked again
        assert take_hint(member, answer, 0.0)
        look()  # and has answered
        member.state = MemberState.WARMING
        look()  # a bind found nobody
        assert gone == [True, False, True]
        await keeping.close()

    asyncio.run(story())
