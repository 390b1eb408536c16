"""Directories behind a pod's volumes: empty ones of its own, and those of bound host-path claims."""

import asyncio
import base64
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.support.cluster.api import MERGE, KubeApi
from tests.support.cluster.pods import ConfigError, claim_names, container_of

Object = dict[str, Any]

CLAIM_POLL_SECONDS = 0.1
LAST_WORDS_BYTES = 2048
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - the machine's tmpfs, in which each kubelet has a directory of its own


class Volumes:
    """One kubelet's directories; all of them, but for those of claims, are gone after `close`.

    An emptyDir's `sizeLimit` is not enforced here.
    """

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._disk = _own_directory(Path(tempfile.gettempdir()))
        self._memory = _own_directory(SHARED_MEMORY)
        self._users: dict[tuple[str, str], set[str]] = {}

    def log_of(self, uid: str) -> Path:
        """Where the pod's process writes stdout and stderr."""
        return self._disk / f"{uid}.log"

    async def provide(self, pod: Object, node: str) -> dict[str, str]:
        """A directory for each volume; waits until claims are bound. Raises ConfigError for other kinds of volume."""
        claims = claim_names(pod)
        found = {}
        for volume in pod["spec"].get("volumes", []):
            name = volume["name"]
            if name in claims:
                found[name] = await self._behind(pod, claims[name], node)
            elif "emptyDir" in volume:
                found[name] = str(self._empty(pod["metadata"]["uid"], volume))
            else:
                raise ConfigError(f"the volume {name} is neither an emptyDir nor a claim; no other is served here")
        return found

    async def secrets(self, pod: Object) -> dict[str, str]:
        """The values of the container's variables that come from Secrets; waits until those are there."""
        found = {}
        for variable in container_of(pod).get("env", []):
            reference = (variable.get("valueFrom") or {}).get("secretKeyRef")
            if reference is not None:
                path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/secrets/{reference['name']}"
                data = await self._secret(path)
                found[variable["name"]] = base64.b64decode(data[reference["key"]]).decode()
        return found

    async def _secret(self, path: str) -> Object:
        while True:
            found: Object = (await self._api.ask("GET", path)).body.get("data") or {}
            if found:
                return found
            await asyncio.sleep(CLAIM_POLL_SECONDS)

    def last_words(self, pod: Object) -> str:
        """The end of its log, of a container that has it shown in its status."""
        log = self.log_of(pod["metadata"]["uid"])
        if container_of(pod).get("terminationMessagePolicy") != "FallbackToLogsOnError" or not log.exists():
            return ""
        return log.read_bytes()[-LAST_WORDS_BYTES:].decode(errors="replace")

    def release(self, uid: str) -> None:
        """The pod is gone: remove what was its own."""
        for users in self._users.values():
            users.discard(uid)
        shutil.rmtree(self._disk / uid, ignore_errors=True)
        shutil.rmtree(self._memory / uid, ignore_errors=True)
        self.log_of(uid).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove everything."""
        shutil.rmtree(self._disk, ignore_errors=True)
        shutil.rmtree(self._memory, ignore_errors=True)

    def _empty(self, uid: str, volume: Object) -> Path:
        root = self._memory if volume["emptyDir"].get("medium") == "Memory" else self._disk
        directory = root / uid / str(volume["name"])
        directory.mkdir(parents=True, exist_ok=True)
        return directory

    async def _behind(self, pod: Object, claim: str, node: str) -> str:
        """The bound volume's directory. A claim for one pod at a time is waited for while another has it."""
        namespace, uid = pod["metadata"]["namespace"], pod["metadata"]["uid"]
        path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}"
        users = self._users.setdefault((namespace, claim), set())
        while True:
            found = (await self._api.ask("GET", path)).body
            single = "ReadWriteOncePod" in found.get("spec", {}).get("accessModes", [])
            if found.get("status", {}).get("phase") == "Bound" and not (single and users - {uid}):
                users.add(uid)
                volume = (await self._api.ask("GET", f"/api/v1/persistentvolumes/{found['spec']['volumeName']}")).body
                return str(volume["spec"]["hostPath"]["path"])
            await self._select_node(path, found, node)
            await asyncio.sleep(CLAIM_POLL_SECONDS)

    async def _select_node(self, path: str, claim: Object, node: str) -> None:
        """What the scheduler says to the provisioner of a class that waits for the first consumer."""
        annotations = claim.get("metadata", {}).get("annotations", {})
        if claim.get("status", {}).get("phase") == "Pending" and _SELECTED not in annotations:
            await self._api.ask("PATCH", path, {"metadata": {"annotations": {_SELECTED: node}}}, MERGE)


def _own_directory(parent: Path) -> Path:
    """A new directory, named by this process; those of processes that were killed are removed."""
    for other in parent.glob(f"{_PREFIX}*"):
        owner = other.name.removeprefix(_PREFIX).partition("-")[0]
        if owner.isdecimal() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(other, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=parent))


_PREFIX = "leasegrid-kubelet-"
_SELECTED = "volume.kubernetes.io/selected-node"
