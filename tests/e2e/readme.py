"""The commands of README.md's section on Kubernetes, done as they stand there."""

import os
import re
import time
from dataclasses import dataclass, field

import yaml

from tests.e2e.kind_rig import Kind, Object
from tests.support.running import REPOSITORY

SECTION = "## On Kubernetes"
CHATTER = ("events", "events.events.k8s.io", "nodes", "componentstatuses")
"""Kinds that tell what was: a node lists its images, an event names what it was about."""
NODES = "tests/e2e/three-nodes.yaml"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Journey:
    """What each command printed, and when it began and ended, in UNIX seconds; `before`: the names of all objects that
    were there before anything of ours.
    """

    said: dict[str, str] = field(default_factory=dict)
    times: dict[str, tuple[float, float]] = field(default_factory=dict)
    before: frozenset[str] = frozenset()

    def take(self, cluster: Kind, command: str) -> None:
        """One step. Raises AssertionError with what a command says that fails."""
        if command.startswith("helm install"):
            self.before = frozenset(map(name_of, everything(cluster)))
        began = time.time()
        self.said[command] = cluster.shell(with_nodes(command))
        self.times[command] = began, time.time()

    def began(self, part: str) -> float:
        """When the command with this in it began."""
        return self.times[self._command(part)][0]

    def ended(self, part: str) -> float:
        """When the command with this in it had ended."""
        return self.times[self._command(part)][1]

    def output(self, part: str) -> str:
        """What the command with this in it printed."""
        return self.said[self._command(part)]

    def _command(self, part: str) -> str:
        (found,) = [command for command in self.times if part in command]
        return found


def everything(cluster: Kind) -> list[Object]:
    """All objects of the cluster, of any kind that it serves, but for the chatter."""
    kinds = cluster.kubectl("api-resources", "--verbs=list", "--output=name").split()
    return cluster.objects(",".join(kind for kind in kinds if kind not in CHATTER), "--all-namespaces")


def name_of(one: Object) -> str:
    """Kind, namespace and name of an object, by which it is known to people."""
    return f"{one['kind']} {one['metadata'].get('namespace', '')}/{one['metadata']['name']}"


def commands() -> list[str]:
    """Every line of the section's plain blocks."""
    return [line for language, text in _blocks() if not language for line in text.splitlines() if line]


def objects() -> list[Object]:
    """The documents of the section's blocks of YAML."""
    return [one for language, text in _blocks() if language == "yaml" for one in yaml.safe_load_all(text)]


def with_nodes(command: str) -> str:
    """The command; one that makes the cluster gets three nodes, of the image that the environment names, if any."""
    if not command.startswith("kind create cluster"):
        return command
    image = os.environ.get("E2E_NODE_IMAGE")
    return f"{command} --config {NODES}" + (f" --image {image}" if image else "")


def _blocks() -> list[tuple[str, str]]:
    _, _, rest = (REPOSITORY / "README.md").read_text(encoding="utf-8").partition(f"\n{SECTION}\n")
    assert rest, f"README.md has no section {SECTION!r}"
    return _BLOCK.findall(rest.partition("\n## ")[0])
