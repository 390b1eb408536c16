"""A pod's specification read as a kubelet reads it: pure functions on the object as JSON."""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from leasegrid.api.quantities import parse_millicores

Object = dict[str, Any]

ANY_ADDRESS = "0.0.0.0"  # noqa: S104 - compared with, not bound to
_REFERENCE = re.compile(r"\$(\$|\(([A-Za-z_][A-Za-z0-9_.-]*)\))")


class ConfigError(Exception):
    """Something in the container's specification that this kubelet cannot serve: CreateContainerConfigError."""


@dataclass(frozen=True)
class Placement:
    """What the kubelet decided for a pod: its node, its address, and the directory behind each volume. `secrets`: the
    values of variables that come from Secrets, by their names.
    """

    node: str
    address: str
    volumes: Mapping[str, str]
    secrets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ContainerCommand:
    """A local process: what to run, and in which environment."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


def container_of(pod: Object) -> Object:
    """The pod's first container: the others, if any, are not run."""
    container: Object = pod["spec"]["containers"][0]
    return container


def local_command(pod: Object, placement: Placement) -> ContainerCommand:
    """The container's command as it runs on this machine.

    `$(NAME)` expands as in Kubernetes. `python` is this interpreter. An argument that begins with 0.0.0.0 means every
    address of the pod, of which it has one here, on a machine that it shares. A path below a `mountPath` stands in an
    argument or a variable, alone or after `=`, and is replaced by the path below the volume's directory: processes
    here have no mounts.
    """
    container = container_of(pod)
    directories = {
        mount["mountPath"].rstrip("/"): placement.volumes[mount["name"]] for mount in container.get("volumeMounts", [])
    }
    environment: dict[str, str] = {}
    for variable in container.get("env", []):
        value = _value(variable, pod, placement)
        environment[variable["name"]] = _moved(expand(value, environment), directories)
    words = [*container.get("command", []), *container.get("args", [])]
    if not words:
        raise ConfigError("the container has no command, and images are not looked into here")
    command = [_moved(_own(expand(word, environment), placement), directories) for word in words]
    if command[0] in ("python", "python3"):
        command[0] = sys.executable
    return ContainerCommand(tuple(command), environment)


def _own(word: str, placement: Placement) -> str:
    return placement.address + word.removeprefix(ANY_ADDRESS) if word.startswith(ANY_ADDRESS) else word


def expand(text: str, environment: Mapping[str, str]) -> str:
    """`$(NAME)` by its value; an unknown one stays as it is, and `$$` is one dollar."""

    def replaced(match: "re.Match[str]") -> str:
        return "$" if match[1] == "$" else environment.get(match[2], match[0])

    return _REFERENCE.sub(replaced, text)


def requested_millicores(pod: Object) -> int:
    """The cores that all containers of the pod reserve, in thousandths."""
    total = 0
    for container in pod["spec"]["containers"]:
        resources = container.get("resources", {})
        asked = resources.get("requests", {}).get("cpu", resources.get("limits", {}).get("cpu", "0"))
        total += parse_millicores(asked)
    return total


def claim_names(pod: Object) -> dict[str, str]:
    """The PersistentVolumeClaim behind each volume that has one."""
    volumes = pod["spec"].get("volumes", [])
    return {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in volumes
        if "persistentVolumeClaim" in volume
    }


def is_terminal(pod: Object) -> bool:
    """True when the pod's processes have ended for good."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _value(variable: Object, pod: Object, placement: Placement) -> str:
    source = variable.get("valueFrom")
    if source is None:
        return str(variable.get("value", ""))
    if variable["name"] in placement.secrets:
        return placement.secrets[variable["name"]]
    path = source.get("fieldRef", {}).get("fieldPath", "")
    known = {
        "metadata.name": pod["metadata"]["name"],
        "metadata.namespace": pod["metadata"]["namespace"],
        "metadata.uid": pod["metadata"]["uid"],
        "spec.nodeName": placement.node,
        "status.podIP": placement.address,
        "status.hostIP": "127.0.0.1",
    }
    if path not in known:
        raise ConfigError(f"the variable {variable['name']} comes from {source}, which is not served here")
    return str(known[path])


def _moved(word: str, directories: Mapping[str, str]) -> str:
    option, equals, path = word.partition("=")
    if not equals or not option.startswith("-"):
        option, equals, path = "", "", word
    for mounted, directory in directories.items():
        if path == mounted or path.startswith(f"{mounted}/"):
            return f"{option}{equals}{directory}{path[len(mounted) :]}"
    return word
