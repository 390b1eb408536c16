"""`helm upgrade` under leases: to another configuration, and to an image that nobody has."""

import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from tests.e2e.kind_rig import SYSTEM, Kind
from tests.e2e.rooms import Room, room

TTL_SECONDS = 60
RENEW_SECONDS = 2.0
HELM = ("--namespace", SYSTEM, "--reuse-values")


@pytest.fixture(scope="module")
def warm(cluster: Kind) -> Iterator[Room]:
    """A namespace with a pool of three."""
    with room(cluster, f"upgrade-{secrets.token_hex(3)}") as made:
        made.pool("cpu", 3)
        made.until_members("cpu", ready=3)
        yield made


@contextmanager
def renewing(warm: Room, name: str) -> Iterator[list[str]]:
    """Renew a lease by the command, again and again; what it said. A renewal that fails fails the test."""
    stop, said = threading.Event(), list[str]()

    def renew() -> None:
        while not stop.wait(RENEW_SECONDS):
            said.append(warm.leasegrid("renew", name))

    with ThreadPoolExecutor(1) as threads:
        renewed = threads.submit(renew)
        try:
            yield said
        finally:
            stop.set()
        renewed.result()


def operators(cluster: Kind) -> set[str]:
    """The pods of the operator."""
    chosen = (f"--namespace={SYSTEM}", "--selector=app.kubernetes.io/component=operator")
    return {one["metadata"]["name"] for one in cluster.objects("pods", *chosen)}


def test_leases_live_and_are_renewed_while_the_operator_is_replaced_in_a_namespace_of_level_restricted(
    warm: Room,
) -> None:
    cluster = warm.cluster
    cluster.kubectl("label", "namespace", SYSTEM, "pod-security.kubernetes.io/enforce=restricted", "--overwrite")
    warm.leasegrid("claim", "kept", "--pool", "cpu", "--ttl", str(TTL_SECONDS))
    before, held = operators(cluster), warm.held("kept")
    with renewing(warm, "kept") as renewals:
        cluster.run(
            "helm", "upgrade", "leasegrid", "charts/leasegrid", *HELM, "--set=operator.logLevel=debug", "--wait"
        )
        cluster.wait(lambda: operators(cluster) & before, lambda left: not left, "the old replicas are gone")
        cluster.wait(lambda: cluster.leader, lambda leader: leader in operators(cluster), "a new one leads")
        seen = len(renewals)
        cluster.wait(lambda: len(renewals), lambda now: now > seen + 1, "it is renewed by the new ones")
    assert warm.held("kept") == held
    warm.lease("next", poolRefs=[{"name": "cpu"}])
    assert warm.until_bound("next")
    assert "released 1 member" in warm.leasegrid("release", "kept")
    warm.delete("lglease", "next")


@pytest.mark.unhappy("an upgrade to an image that cannot be pulled")
def test_an_upgrade_to_an_image_that_nobody_has_leaves_the_old_operator_at_work(warm: Room) -> None:
    cluster = warm.cluster
    before = operators(cluster)
    options = ("--set=image.tag=nowhere", "--wait", "--timeout=10s")
    cluster.refusal("helm", "upgrade", "leasegrid", "charts/leasegrid", *HELM, *options)
    warm.lease("meanwhile", poolRefs=[{"name": "cpu"}])
    assert warm.until_bound("meanwhile")
    assert cluster.leader in before
    cluster.run("helm", "rollback", "leasegrid", "--namespace", SYSTEM, "--wait")
    cluster.kubectl("rollout", "status", "deployment/leasegrid-operator", f"--namespace={SYSTEM}", "--timeout=180s")
    warm.delete("lglease", "meanwhile")
