"""What shakes a cluster: processes killed, nodes stopped and restarted, traffic between nodes dropped. Each trouble is
over when its function returns; what it did is what it says.
"""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.e2e.kind_rig import Kind, Object, RefusedCommandError
from tests.e2e.rooms import Room

Trouble = Callable[["Shaker"], str]


@dataclass
class Shaker:
    """Draws its troubles, and their moments, by a seed. `done`: how often; `missed`: what could not be made."""

    room: Room
    chance: random.Random
    done: dict[str, int] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)

    @property
    def cluster(self) -> Kind:
        return self.room.cluster

    def shake(self) -> None:
        """One trouble. With nothing to trouble, or no API server to ask, there is none."""
        trouble = self.chance.choice(TROUBLES)
        try:
            name = trouble(self)
        except (RefusedCommandError, LookupError) as error:
            self.missed.append(f"{trouble.__name__}: {error}")
        else:
            self.done[name] = self.done.get(name, 0) + 1

    def inside(self, node: str, *words: str) -> str:
        """A command in a node's container."""
        return self.cluster.run("docker", "exec", node, *words)

    def some_pod(self, *words: str) -> Object:
        """One that runs. Raises LookupError when there is none."""
        running = [one for one in self.cluster.objects("pods", *words) if one["status"]["phase"] == "Running"]
        if not running:
            raise LookupError("no pod runs")
        return self.chance.choice(running)

    def some_worker(self) -> str:
        return self.chance.choice(self.cluster.workers)


def kill_operator(shaker: Shaker) -> str:
    """The process of one replica, the one that decides or another."""
    node = shaker.some_worker()
    shaker.inside(node, "pkill", "--signal", "KILL", "--full", "python -m leasegrid_operator")
    return "an operator was killed"


def kill_member(shaker: Shaker) -> str:
    """The process of a member; its slots, and a coordinator on it, go with it."""
    pod = shaker.some_pod(f"--namespace={shaker.room.namespace}", "--selector=app.kubernetes.io/managed-by=leasegrid")
    name = pod["metadata"]["name"]
    shaker.inside(pod["spec"]["nodeName"], "pkill", "--signal", "KILL", "--full", "--", f"--name {name}( |$)")
    return "a member was killed"


def delete_member(shaker: Shaker) -> str:
    """As an eviction does it, without any grace."""
    pod = shaker.some_pod(f"--namespace={shaker.room.namespace}", "--selector=app.kubernetes.io/managed-by=leasegrid")
    shaker.room.kubectl("delete", "pod", pod["metadata"]["name"], "--grace-period=0", "--force", "--wait=false")
    return "a member's pod was deleted"


def kill_api_server(shaker: Shaker) -> str:
    """The kubelet starts another."""
    shaker.inside(f"{shaker.cluster.name}-control-plane", "pkill", "--signal", "KILL", "--exact", "kube-apiserver")
    return "the API server was killed"


def restart_node(shaker: Shaker) -> str:
    """All that ran on it is gone; it comes back at once."""
    shaker.cluster.run("docker", "restart", "--time", "0", shaker.some_worker())
    return "a node was restarted"


def stop_node(shaker: Shaker) -> str:
    """Everything on it stands still for a while, and goes on as if nothing had been."""
    node = shaker.some_worker()
    shaker.cluster.run("docker", "pause", node)
    try:
        time.sleep(shaker.chance.uniform(3, 15))
    finally:
        shaker.cluster.run("docker", "unpause", node)
    return "a node stood still"


def cut_network(shaker: Shaker) -> str:
    """Two workers do not hear each other for a while; the control plane hears both."""
    nodes = {one["metadata"]["name"]: one for one in shaker.cluster.objects("nodes")}
    here, there = shaker.chance.sample(shaker.cluster.workers, 2)
    with _cut(shaker, here, nodes[there]):
        time.sleep(shaker.chance.uniform(3, 15))
    return "the network between two nodes was cut"


@contextmanager
def _cut(shaker: Shaker, here: str, there: Object) -> Iterator[None]:
    (address,) = [one["address"] for one in there["status"]["addresses"] if one["type"] == "InternalIP"]
    rules = [
        (chain, side, network)
        for network in (address, there["spec"]["podCIDR"])
        for chain, side in (("INPUT", "--source"), ("OUTPUT", "--destination"), *_THROUGH)
    ]
    made = []
    try:
        for chain, side, network in rules:
            shaker.inside(here, "iptables", "--insert", chain, side, network, "--jump", "DROP")
            made.append((chain, side, network))
        yield
    finally:
        for chain, side, network in made:
            shaker.inside(here, "iptables", "--delete", chain, side, network, "--jump", "DROP")


_THROUGH = (("FORWARD", "--source"), ("FORWARD", "--destination"))
TROUBLES: tuple[Trouble, ...] = (
    *(kill_operator, kill_member, kill_member, delete_member),
    *(kill_api_server, restart_node, stop_node, cut_network),
)
