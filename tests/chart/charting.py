"""The chart as helm renders and installs it, and what is looked for in the result."""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.integration.control_plane import ControlPlane

Body = dict[str, Any]

CHART = Path(__file__).parents[2] / "charts" / "leasegrid"
KUBERNETES = "1.34.4"
RELEASE, NAMESPACE = "leasegrid", "grid"


@dataclass(frozen=True)
class Rendered:
    """The objects of a release, its hooks and its test included."""

    objects: list[Body]

    def __iter__(self) -> Iterator[Body]:
        return iter(self.objects)

    def all(self, kind: str) -> list[Body]:
        """Every object of a kind."""
        return [one for one in self.objects if one["kind"] == kind]

    def one(self, kind: str, name: str = "", namespace: str = "") -> Body:
        """The only object of this kind (whose name ends so, in this namespace)."""
        found = [
            one
            for one in self.all(kind)
            if one["metadata"]["name"].endswith(name) and namespace in ("", one["metadata"].get("namespace"))
        ]
        assert len(found) == 1, f"{len(found)} of {kind} {name}"
        return found[0]

    def has(self, kind: str, name: str = "") -> bool:
        """Whether there is such an object."""
        return any(one["metadata"]["name"].endswith(name) for one in self.all(kind))

    @property
    def pod(self) -> Body:
        """The template of the operator's pods."""
        template: Body = self.one("Deployment")["spec"]["template"]
        return template

    @property
    def container(self) -> Body:
        """The operator's container."""
        (container,) = self.pod["spec"]["containers"]
        return dict(container)

    @property
    def environment(self) -> dict[str, str]:
        """The variables of the operator's container, as a kubelet would set them."""
        fields = {"status.podIP": "10.0.0.7", "metadata.name": "operator-a", "metadata.namespace": NAMESPACE}
        found: dict[str, str] = {}
        for one in self.container["env"]:
            said = fields[one["valueFrom"]["fieldRef"]["fieldPath"]] if "valueFrom" in one else one["value"]
            found[one["name"]] = said.replace("$(POD_IP)", found.get("POD_IP", ""))
        return found


@dataclass(frozen=True)
class Chart:
    """`helm`: its program; `home`: where it keeps what it remembers; `rendered`: what was rendered before."""

    helm: str
    home: Path
    rendered: dict[str, list[Body]] = field(default_factory=dict)

    def render(self, values: Body | None = None, *, release: str = RELEASE) -> Rendered:
        """All objects. Raises AssertionError with what helm says against the values."""
        asked = json.dumps([release, values or {}], sort_keys=True)
        if asked not in self.rendered:
            ended = self._template(values or {}, release)
            assert ended.returncode == 0, ended.stderr
            self.rendered[asked] = [one for one in yaml.load_all(ended.stdout, yaml.CSafeLoader) if one]
        return Rendered(self.rendered[asked])

    def refusal(self, values: Body) -> str:
        """What helm says against the values; empty when it takes them."""
        ended = self._template(values, RELEASE)
        return ended.stderr if ended.returncode else ""

    def do(self, *words: str, values: Body | None = None) -> str:
        """Any command, with these values on its stdin; what it prints."""
        ended = self._run(*words, given=json.dumps(values or {}))
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def on(self, plane: ControlPlane, *words: str, values: Body | None = None) -> str:
        """A command on a cluster."""
        flags = ("--kubeconfig", str(plane.kubeconfig), "--namespace", NAMESPACE)
        return self.do(*words, *flags, values=values)

    def _template(self, values: Body, release: str) -> "subprocess.CompletedProcess[str]":
        flags = ("--namespace", NAMESPACE, "--kube-version", KUBERNETES, "--values", "-")
        return self._run("template", release, str(CHART), *flags, given=json.dumps(values))

    def _run(self, *words: str, given: str) -> "subprocess.CompletedProcess[str]":
        environment = {"HOME": str(self.home), "PATH": os.environ["PATH"]}
        command = [self.helm, *words]
        return subprocess.run(command, input=given, env=environment, capture_output=True, text=True, check=False)


def nested(path: str, value: object) -> Body:
    """`a.b`, 1: {"a": {"b": 1}}."""
    name, _, rest = path.partition(".")
    return {name: nested(rest, value) if rest else value}
