"""What a cluster lacks is said where people look, and all goes on by itself once it is there."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.kind_rig import Kind
from tests.e2e.rooms import Room

IMAGE, KEPT = "docker.io/library/leasegrid:dev", "docker.io/library/kept-for-the-tests:1"
DEFAULT = "storageclass.kubernetes.io/is-default-class"
BLOCK = {"resource": "Block", "storage": {"size": "8Mi"}}
CONTROL_PLANE = "node-role.kubernetes.io/control-plane"


@contextmanager
def without_image(cluster: Kind, node: str) -> Iterator[None]:
    """For the time of the block a node does not have the image, and nobody gives it to it."""
    images = ("docker", "exec", node, "ctr", "--namespace=k8s.io", "images")
    cluster.run(*images, "tag", "--force", IMAGE, KEPT)
    cluster.run(*images, "rm", IMAGE)
    try:
        yield
    finally:
        cluster.run(*images, "tag", "--force", KEPT, IMAGE)


@contextmanager
def without_default_class(cluster: Kind) -> Iterator[None]:
    """For the time of the block no StorageClass is the default one."""
    cluster.kubectl("annotate", "storageclass", "standard", f"{DEFAULT}-")
    try:
        yield
    finally:
        cluster.kubectl("annotate", "storageclass", "standard", f"{DEFAULT}=true", "--overwrite")


@pytest.mark.unhappy("image that cannot be pulled, on a cluster of containers")
def test_a_pool_whose_image_cannot_be_pulled_says_so_and_is_warm_once_it_is_there(space: Room) -> None:
    (node,) = [one["metadata"]["name"] for one in space.cluster.objects("nodes", f"--selector={CONTROL_PLANE}")]
    template = {"nodeSelector": {CONTROL_PLANE: ""}, "tolerations": [{"key": CONTROL_PLANE, "operator": "Exists"}]}
    with without_image(space.cluster, node):
        space.pool("cpu", 1, template=template)
        message = space.until_said("lgpool", "cpu", "Degraded", "ImagePull")
        assert "leasegrid:dev" in message
    space.until_members("cpu", ready=1)


@pytest.mark.unhappy("no default StorageClass")
def test_a_block_pool_without_a_storage_class_says_so_and_is_warm_once_there_is_a_default_one(space: Room) -> None:
    with without_default_class(space.cluster):
        space.pool("block", 1, **BLOCK)
        message = space.until_said("lgpool", "block", "Degraded", "StorageClassNotFound")
        assert "no StorageClass is marked as the default" in message
        assert not space.all("pods")
    space.until_members("block", ready=1)


@pytest.mark.unhappy("a namespace without rights: of the user, and of the program that asks the broker")
def test_a_user_without_rights_is_told_which_role_to_ask_for_and_claims_with_it(space: Room) -> None:
    space.pool("cpu", 1)
    space.until_members("cpu", ready=1)
    ada = as_account(space, "ada")
    said = space.cluster.refusal("leasegrid", "claim", "mine", "--pool", "cpu", "--context", ada)
    assert "you may not create leases in namespace" in said
    assert "ask for the ClusterRole leasegrid-lease-user there" in said

    role = ("--clusterrole=leasegrid-lease-user", f"--serviceaccount={space.namespace}:ada")
    space.kubectl("create", "rolebinding", "ada", *role)
    assert "bound 1 member" in space.cluster.leasegrid("claim", "mine", "--pool", "cpu", "--context", ada)


def as_account(space: Room, name: str) -> str:
    """A context of the user's kubeconfig in which they are a new account of the namespace."""
    cluster = space.cluster
    space.kubectl("create", "serviceaccount", name)
    token = space.kubectl("create", "token", name)
    user = f"{name}-{space.namespace}"
    cluster.kubectl("config", "set-credentials", user, f"--token={token}")
    place = (f"--cluster=kind-{cluster.name}", f"--user={user}", f"--namespace={space.namespace}")
    cluster.kubectl("config", "set-context", user, *place)
    return user
