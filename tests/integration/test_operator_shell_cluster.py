"""The door to the API server, on a real one: plain objects in and out, and the error that says what to do."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from leasegrid_operator.cluster import Access, Cluster, Listing, Write, connected
from leasegrid_operator.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidObjectError,
    NotFoundError,
    NotLeadingError,
    QuotaExceededError,
    ServerUnavailableError,
    SettingsError,
)
from leasegrid_operator.keys import NAME, installation_key
from leasegrid_operator.resources import LEASES, PODS, SECRETS, ObjectKey
from tests.integration.control_plane import ControlPlane, free_ports
from tests.integration.operator_shell import fresh, lease, namespaced, through

Asked = Callable[[Cluster], Awaitable[Any]]


def names(listing: Listing) -> list[str]:
    return [one["metadata"]["name"] for one in listing.items]


def asked(plane: ControlPlane, question: Asked) -> Any:  # noqa: ANN401 - what the question returns
    async def ask() -> Any:  # noqa: ANN401 - as above
        async with connected(plane.kubeconfig) as cluster:
            return await question(cluster)

    return asyncio.run(ask())


def test_an_object_is_made_read_changed_and_deleted(cluster: ControlPlane) -> None:
    key = ObjectKey("default", fresh("a"))

    async def life(door: Cluster) -> None:
        made = await door.create(LEASES, lease(key.name))
        assert made["metadata"]["uid"]
        await door.patch(LEASES, key, {"metadata": {"labels": {"x": "y"}}})
        await door.patch_status(LEASES, key, {"conditions": []})
        found = await door.get(LEASES, key)
        assert found["metadata"]["labels"] == {"x": "y"}
        assert found["spec"] == made["spec"]
        with pytest.raises(ConflictError):
            await door.delete(LEASES, key, uid="00000000-0000-0000-0000-000000000000")
        await door.delete(LEASES, key, uid=made["metadata"]["uid"])
        with pytest.raises(NotFoundError):
            await door.get(LEASES, key)

    asked(cluster, life)


def test_each_write_that_was_answered_is_told(cluster: ControlPlane) -> None:
    told: list[Write] = []
    key = ObjectKey("default", fresh("w"))

    async def life() -> None:
        async with connected(cluster.kubeconfig, told=told.append) as door:
            made = await door.create(LEASES, lease(key.name))
            with pytest.raises(AlreadyExistsError):
                await door.create(LEASES, lease(key.name))
            await door.delete(LEASES, key)
            assert told[0] == Write("create", LEASES, accepted=True, version=made["metadata"]["resourceVersion"])

    asyncio.run(life())
    assert [(write.verb, write.accepted) for write in told] == [("create", True), ("create", False), ("delete", True)]


def test_a_list_has_all_pages_and_selects_by_label(cluster: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leasegrid_operator.cluster.PAGE", 2)
    namespace = namespaced(cluster)

    async def listed(door: Cluster) -> tuple[list[str], list[str]]:
        for number in range(5):
            await door.create(LEASES, lease(f"l{number}", namespace, labels={"odd": str(number % 2)}))
        everything = await door.list(LEASES, namespace)
        odd = await door.list(LEASES, namespace, labels="odd=1")
        assert int(everything.version) > 0
        return names(everything), names(odd)

    assert asked(cluster, listed) == (["l0", "l1", "l2", "l3", "l4"], ["l1", "l3"])


@pytest.mark.unhappy("invalid objects of every kind: the message names the field and the remedy")
def test_an_invalid_object_is_refused_by_the_name_of_its_field(cluster: ControlPlane) -> None:
    with pytest.raises(InvalidObjectError, match=r"spec\.count") as refused:
        asked(cluster, lambda door: door.create(LEASES, {**lease(fresh("bad")), "spec": {"count": "many"}}))

    assert refused.value.remedy


@pytest.mark.unhappy("quota refuses pods")
def test_a_quota_that_leaves_no_room_is_told_apart_from_a_missing_right(cluster: ControlPlane) -> None:
    namespace = namespaced(cluster)
    in_namespace = f"--namespace={namespace}"
    cluster.kubectl("create", "serviceaccount", "default", in_namespace)
    cluster.kubectl("create", "quota", "none", "--hard=pods=0", in_namespace)
    # This plane has no controller that would count.
    counted = '{"status": {"hard": {"pods": "0"}, "used": {"pods": "0"}}}'
    cluster.kubectl(
        "patch", "quota", "none", in_namespace, "--subresource=status", "--type=merge", f"--patch={counted}"
    )
    pod = {"metadata": {"name": "p", "namespace": namespace}, "spec": {"containers": [{"name": "c", "image": "i"}]}}

    with pytest.raises(QuotaExceededError, match="none"):
        asked(cluster, lambda door: door.create(PODS, pod))


@pytest.mark.unhappy("forged token at the broker")
def test_a_token_is_reviewed_for_the_audience_that_it_was_made_for(cluster: ControlPlane) -> None:
    namespace = namespaced(cluster)
    cluster.kubectl("create", "serviceaccount", "job", f"--namespace={namespace}")
    ours, others = (
        cluster.kubectl("create", "token", "job", f"--namespace={namespace}", f"--audience={audience}").strip()
        for audience in ("leasegrid", "https://kubernetes.default.svc")
    )

    async def reviewed(door: Cluster) -> None:
        found = await door.review_token(ours, ["leasegrid"])
        assert found.authenticated
        assert found.user == f"system:serviceaccount:{namespace}:job"
        assert f"system:serviceaccounts:{namespace}" in found.groups
        assert not (await door.review_token(others, ["leasegrid"])).authenticated
        assert not (await door.review_token("forged", ["leasegrid"])).authenticated

    asked(cluster, reviewed)


@pytest.mark.unhappy("a tenant without RBAC at the broker")
def test_rights_are_those_that_the_cluster_gives(cluster: ControlPlane) -> None:
    access = Access("admin", ("system:masters",), "default", "create", LEASES)
    tenant = Access("tenant", ("system:authenticated",), "default", "create", LEASES)

    assert asked(cluster, lambda door: door.review_access(access)) is True
    assert asked(cluster, lambda door: door.review_access(tenant)) is False


@pytest.mark.unhappy("API server away")
def test_a_server_that_is_away_is_told_as_such(cluster: ControlPlane, tmp_path: Path) -> None:
    (port,) = free_ports(1)

    async def ask() -> None:
        async with connected(through(cluster, port, tmp_path)) as door:
            await door.get(LEASES, ObjectKey("default", "a"))

    with pytest.raises(ServerUnavailableError, match="get Lease default/a"):
        asyncio.run(ask())


def test_without_a_way_to_the_server_the_remedy_names_both_ways(tmp_path: Path) -> None:
    async def connect(kubeconfig: Path | None) -> None:
        async with connected(kubeconfig):
            pass

    for kubeconfig in (None, tmp_path / "none"):
        with pytest.raises(SettingsError, match="ServiceAccount, or give --kubeconfig"):
            asyncio.run(connect(kubeconfig))


def test_replicas_that_start_together_share_one_key(cluster: ControlPlane) -> None:
    namespace = namespaced(cluster)

    async def made(door: Cluster) -> list[bytes]:
        pairs = await asyncio.gather(*(installation_key(door, namespace) for _ in range(5)))
        return [pair.private_bytes_raw() for pair in pairs]

    assert len(set(asked(cluster, made))) == 1


def test_a_secret_that_holds_no_key_is_named_with_the_command_that_helps(cluster: ControlPlane) -> None:
    namespace = namespaced(cluster)
    body = {"metadata": {"name": NAME, "namespace": namespace}, "data": {"ed25519": base64.b64encode(b"x").decode()}}

    async def read(door: Cluster) -> None:
        await door.create(SECRETS, body)
        await installation_key(door, namespace)

    with pytest.raises(SettingsError, match=f"delete secret {NAME}"):
        asked(cluster, read)


@pytest.mark.unhappy("two operators: who leads no more sends no write, whatever it believes")
def test_behind_a_fence_nothing_is_written_once_it_is_closed(cluster: ControlPlane) -> None:
    key = ObjectKey("default", fresh("fenced"))
    leads = [True]

    async def life(door: Cluster) -> None:
        fenced = door.fenced(lambda: leads[0])
        made = await fenced.create(LEASES, lease(key.name))
        leads[0] = False
        for write in (
            fenced.patch_status(LEASES, key, {"conditions": []}),
            fenced.patch(LEASES, key, {"metadata": {"labels": {"x": "y"}}}),
            fenced.delete(LEASES, key),
            fenced.create(LEASES, lease(fresh("fenced"))),
        ):
            with pytest.raises(NotLeadingError, match="leads no more"):
                await write
        found = await fenced.get(LEASES, key)
        assert found["metadata"]["resourceVersion"] == made["metadata"]["resourceVersion"]
        await door.delete(LEASES, key)

    asked(cluster, life)
