"""What stands in a member's pod."""

from dataclasses import replace

import pytest

from leasegrid.api.quantities import GIBI, MEBI
from leasegrid_operator.pools.naming import member_name, member_number
from leasegrid_operator.pools.pods import MemberTemplate
from leasegrid_operator.pools.sizes import member_sizes
from leasegrid_operator.pools.volumes import claim_name, successor_name
from tests.unit.operator.pools.examples import BLOCK, LEASE, MEMORY, OWNER, SETTINGS, flags, pool_spec, template


def test_a_member_is_told_who_it_is_and_what_it_has() -> None:
    pod = template(resources={"cpu": "2500m", "memory": "2Gi"}).pod(12)

    assert pod["metadata"]["name"] == "cpu-01234-12"
    assert pod["spec"]["containers"][0]["command"] == ["python", "-m", "tasklet_runner", "member"]
    assert flags(pod) == {
        "--listen": "0.0.0.0:8080",
        "--name": "$(POD_NAME)",
        "--fabric-key": "-key",
        "--scratch": "/scratch",
        "--slots": "2",
        "--memory": str(2 * GIBI),
        "--tmpfs": str(512 * MEBI),
        "--notify": "http://operator:8081/v1/hints",
        "--reuse": "Reset",
    }


def test_a_pod_belongs_to_its_pool_and_is_found_by_its_labels() -> None:
    labelled = template(template={"labels": {"team": "a", "leasegrid.dev/pool": "forged"}})
    metadata = labelled.pod(1)["metadata"]

    assert metadata["labels"] == {
        "team": "a",
        "app.kubernetes.io/managed-by": "leasegrid",
        "leasegrid.dev/pool": "cpu",
        "leasegrid.dev/resource": "cpu",
    }
    assert [(one["kind"], one["uid"], one["controller"]) for one in metadata["ownerReferences"]] == [
        ("InstancePool", "0123456789", True)
    ]
    assert metadata["annotations"]["leasegrid.dev/template"] == labelled.hash


def test_a_provisioned_pod_belongs_to_its_lease_alone() -> None:
    metadata = template(LEASE).pod(1)["metadata"]

    assert metadata["name"] == "mine-abcde-1"
    assert metadata["labels"]["leasegrid.dev/lease-uid"] == "abcdefghij"
    assert "leasegrid.dev/pool" not in metadata["labels"]
    assert [one["kind"] for one in metadata["ownerReferences"]] == ["Lease"]


def test_a_memory_member_has_its_store_in_memory_that_its_limit_holds() -> None:
    pod = template(OWNER, **MEMORY, resources={"cpu": "1", "memory": "256Mi"}).pod(1)

    volumes = {one["name"]: one for one in pod["spec"]["volumes"]}
    assert volumes["store"]["emptyDir"] == {"medium": "Memory", "sizeLimit": "1Gi"}
    assert pod["spec"]["containers"][0]["resources"]["limits"]["memory"] == "1344Mi"
    given = flags(pod)
    assert (given["--role"], given["--store"], given["--quota"], given["--reuse"]) == (
        "Memory",
        "/store",
        str(GIBI),
        "Replace",
    )


def test_a_block_member_has_a_claim_of_its_own_name() -> None:
    made = template(OWNER, **BLOCK)
    claim = made.claim(3)

    assert claim is not None
    assert claim["metadata"]["name"] == made.pod(3)["metadata"]["name"]
    assert claim["metadata"]["ownerReferences"] == made.pod(3)["metadata"]["ownerReferences"]
    assert claim["spec"] == {
        "accessModes": ["ReadWriteOnce"],
        "volumeMode": "Filesystem",
        "resources": {"requests": {"storage": "1Gi"}},
        "storageClassName": "fast",
    }
    volumes = {one["name"]: one for one in made.pod(3)["spec"]["volumes"]}
    assert volumes["store"]["persistentVolumeClaim"] == {"claimName": "cpu-01234-3"}
    assert template().claim(3) is None


def test_a_successor_serves_the_same_claim_for_its_lease() -> None:
    pod = template(OWNER, **BLOCK).successor("cpu-01234-3-s2", "cpu-01234-3", LEASE)

    assert pod["metadata"]["name"] == "cpu-01234-3-s2"
    assert [one["kind"] for one in pod["metadata"]["ownerReferences"]] == ["Lease"]
    volumes = {one["name"]: one for one in pod["spec"]["volumes"]}
    assert volumes["store"]["persistentVolumeClaim"] == {"claimName": "cpu-01234-3"}


def test_what_a_pod_reserves_can_be_less_than_its_limits() -> None:
    pod = template(resources={"cpu": "2", "memory": "2Gi"}, requests={"cpu": "50m", "memory": "256Mi"}).pod(1)
    assert pod["spec"]["containers"][0]["resources"] == {
        "limits": {"cpu": "2", "memory": "2Gi"},
        "requests": {"cpu": "50m", "memory": "256Mi"},
    }
    whole = template(resources={"cpu": "2", "memory": "2Gi"}).pod(1)
    assert whole["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "2", "memory": "2Gi"}


def test_where_pods_stand_is_copied_as_it_is_written() -> None:
    placement = {
        "nodeSelector": {"disk": "fast"},
        "tolerations": [{"key": "batch", "operator": "Exists"}],
        "affinity": {
            "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [{"labelSelector": {}, "topologyKey": "zone"}]
            }
        },
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
        "priorityClassName": "batch",
        "runtimeClassName": "gvisor",
        "imagePullSecrets": [{"name": "pull"}],
    }
    pod = template(template=placement).pod(1)["spec"]

    assert {name: pod[name] for name in placement} == placement


@pytest.mark.parametrize(
    ("fields", "sizes"),
    [
        pytest.param({"resources": {"memory": "64Mi"}}, (64, 64, 0), id="scratch is never smaller than 64 MiB"),
        pytest.param({"resources": {"memory": "64Gi"}}, (65536, 1024, 0), id="nor larger than 1 GiB"),
        pytest.param({**BLOCK, "resources": {"memory": "1Gi"}}, (1024, 64, 1024), id="a volume is no memory"),
        pytest.param(
            {"resource": "Memory", "resources": {"memory": "1Gi"}},
            (1024, 64, 704),
            id="a memory member without a size gives what its process leaves",
        ),
        pytest.param(
            {"resource": "Memory", "resources": {"memory": "128Mi"}},
            (384, 64, 64),
            id="but at least half of its memory",
        ),
        pytest.param({**MEMORY, "resources": {"memory": "8Gi"}}, (8192, 64, 1024), id="a larger limit stays"),
    ],
)
def test_memory_is_divided(fields: dict[str, object], sizes: tuple[int, int, int]) -> None:
    found = member_sizes(pool_spec(**fields))
    assert (found.memory // MEBI, found.scratch // MEBI, found.quota // MEBI) == sizes


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param("cpu-01234-17", 17, id="a name of ours"),
        pytest.param("cpu-99999-17", 0, id="one of an earlier pool of that name"),
        pytest.param("cpu-01234-17-s2", 0, id="a successor's"),
        pytest.param("cpu-01234", 0, id="none at all"),
    ],
)
def test_a_name_tells_its_number(name: str, number: int) -> None:
    assert member_number(name, "cpu", "0123456789") == number


def test_names_are_the_same_at_each_try() -> None:
    assert member_name("cpu", "0123456789", 4) == member_name("cpu", "0123456789", 4) == "cpu-01234-4"


@pytest.mark.parametrize(
    ("name", "claim", "following"),
    [
        pytest.param("store-01234-3", "store-01234-3", "store-01234-3-s1", id="the first serves its own"),
        pytest.param("store-01234-3-s1", "store-01234-3", "store-01234-3-s2", id="the next the same"),
        pytest.param("store-s3", "store", "store-s4", id="and so on"),
    ],
)
def test_successors_of_a_store_are_numbered(name: str, claim: str, following: str) -> None:
    assert claim_name(name) == claim
    assert successor_name(name, claim) == following


def test_with_tls_a_member_is_told_who_vouches_for_the_broker_and_mounts_nothing_more() -> None:
    settings = replace(SETTINGS, tls=True, notify_ca="PEM", notify_name="grid.svc")
    plain, pod = template().pod(1), MemberTemplate(OWNER, pool_spec(), settings).pod(1)
    (container,) = pod["spec"]["containers"]

    assert container["args"][-3:] == ["--notify-name", "grid.svc", "--tls"]
    assert {"name": "LEASEGRID_NOTIFY_CA", "value": "PEM"} in container["env"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": "member", "scheme": "HTTPS"}
    assert pod["metadata"]["annotations"]["leasegrid.dev/tls"] == "own-key"
    assert pod["spec"]["volumes"] == plain["spec"]["volumes"]
