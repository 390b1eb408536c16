"""A user of the command line on a real API server, and a stand-in for the operator: it writes what the operator writes,
and binds one real member by statements that the tests sign.
"""

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tasklet_runner.client.members import MemberClient
from tasklet_runner.coordinator.capabilities import read_capability
from tasklet_runner.wire.member import MemberState
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import Capability, Confirm, MemberGrant
from tests.integration.control_plane import ControlPlane
from tests.support.members import MemberRig
from tests.support.running import Ended, Place, Running, leasegrid, run_leasegrid, wait_until

PATIENCE_SECONDS = 30.0
Raw = dict[str, Any]


@dataclass(frozen=True)
class Desk:
    """One user in a namespace of their own."""

    plane: ControlPlane
    place: Place
    namespace: str

    def start(self, *words: str) -> Running:
        """Start a command."""
        return leasegrid(self.place, *words)

    def run(self, *words: str) -> Ended:
        """Run a command to its end."""
        return run_leasegrid(self.place, *words)

    def feed(self, stdin: bytes, *words: str) -> "subprocess.CompletedProcess[bytes]":
        """Run a command with bytes on its stdin, and take its output as it is."""
        command = [str(Path(sys.executable).with_name("leasegrid")), *words]
        environment = self.place.environment
        return subprocess.run(command, input=stdin, env=environment, capture_output=True, timeout=90, check=False)

    def as_plugin(self, *words: str) -> Ended:
        """Run a command as `kubectl leasegrid …` does: a program of that name."""
        program = self.place.root / "kubectl-leasegrid"
        shutil.copy(Path(sys.executable).with_name("leasegrid"), program)
        with Running(self.place, [str(program), *words]) as running:
            return running.wait()

    def path(self, plural: str, name: str = "", part: str = "") -> str:
        """The path of objects of a kind in this namespace."""
        base = f"/apis/leasegrid.dev/v1alpha1/namespaces/{self.namespace}/{plural}"
        return "/".join(filter(None, (base, name, part)))

    def get(self, plural: str, name: str) -> Raw:
        """One object; empty when there is none."""
        answer = self.plane.api.ask("GET", self.path(plural, name))
        return answer.body if answer.status == 200 else {}

    def appeared(self, name: str) -> Raw:
        """The lease of that name, once it is there."""
        wait_until(lambda: self.get("leases", name), PATIENCE_SECONDS, f"the lease {name}")
        return self.get("leases", name)

    def make(self, kind: str, plural: str, name: str, spec: Raw) -> Raw:
        """An object of the user's."""
        body = {"apiVersion": "leasegrid.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec}
        answer = self.plane.api.ask("POST", self.path(plural), body)
        assert answer.status == 201, answer
        return answer.body

    def say(self, plural: str, name: str, status: Raw) -> None:
        """Write a status, as the operator does: by a merge patch of the subresource."""
        answer = self.plane.api.ask(
            "PATCH", self.path(plural, name, "status"), {"status": status}, "application/merge-patch+json"
        )
        assert answer.status == 200, answer

    def key(self, name: str, context: str = "plane") -> Path:
        """Where the holder's key of a lease is kept."""
        return self.place.state / "leasegrid" / "holders" / context / self.namespace / name


@contextmanager
def desk(plane: ControlPlane, root: Path) -> Iterator[Desk]:
    """A user and a namespace that nobody else has."""
    name = f"cli-{secrets.token_hex(4)}"
    made = plane.api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    assert made.status == 201, made
    config = yaml.safe_load(plane.kubeconfig.read_text(encoding="utf-8"))
    config["contexts"][0]["context"]["namespace"] = name
    path = root / "kubeconfig"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    yield Desk(plane, Place(root, {"KUBECONFIG": str(path)}), name)
    plane.api.ask("DELETE", f"/api/v1/namespaces/{name}")


def condition(kind: str, status: bool, reason: str, message: str = "") -> Raw:
    """One condition, changed now."""
    return {
        "type": kind,
        "status": str(status),
        "reason": reason,
        "message": message,
        "lastTransitionTime": instant(time.time()),
    }


def instant(seconds: float) -> str:
    """UNIX seconds as the operator writes them."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def bound_status(member: Raw, capability: str = "", seconds: float = 60) -> Raw:
    """The status of a lease of one member."""
    now = time.time()
    return {
        "members": [member],
        "capabilities": [capability] if capability else [],
        "acquireTime": instant(now),
        "renewTime": instant(now),
        "expireTime": instant(now + seconds),
        "queuePosition": None,
        "conditions": [condition("Satisfiable", True, "Enough"), condition("Bound", True, "AllBound")],
    }


RECEIPT = {"members": 1, "tasklets": 3, "heldMilliseconds": 5000, "releasedInMilliseconds": 12, "unverified": []}


def released_status(reason: str = "Released") -> Raw:
    """What ends a lease that was bound."""
    conditions = [condition("Bound", False, reason), condition("Released", True, reason)]
    return {"receipt": RECEIPT, "conditions": conditions}


@dataclass(frozen=True)
class OneMember:
    """A real member, bound to leases by the stand-in."""

    rig: MemberRig

    def bind(self, desk: Desk, name: str, seconds: float = 60) -> None:
        """Bind the member to the lease as it stands on the API server, and write its status."""
        asyncio.run(self._bind(desk, name, seconds))

    async def _bind(self, desk: Desk, name: str, seconds: float) -> None:
        lease = desk.get("leases", name)
        uid, key = lease["metadata"]["uid"], lease["spec"]["holderKey"]
        async with MemberClient(self.rig.endpoint) as client:
            ready = await self.rig.ready(client)
            bind = self.rig.bind(ready, seconds, lease_uid=uid, holder_key=key)
            await client.bind(self.rig.signed(bind))
            confirm = Confirm(lease_uid=uid, member=ready.member, incarnation=ready.incarnation, epoch=bind.epoch)
            await client.confirm(sign(confirm, self.rig.fabric))
        member = {"name": ready.member, "endpoint": self.rig.endpoint, "node": "node-1", "epoch": bind.epoch}
        grant = MemberGrant(ready.member, ready.incarnation, bind.epoch)
        desk.say("leases", name, bound_status(member, self.capability(lease, grant, seconds), seconds))

    def renew(self, desk: Desk, name: str, seconds: float = 60) -> None:
        """Issue a capability with a later deadline, as after a renewal."""
        lease = desk.get("leases", name)
        (member,) = lease["status"]["members"]
        (known,) = lease["status"]["capabilities"]
        (grant,) = read_capability(known).members
        assert grant.member == member["name"]
        desk.say("leases", name, bound_status(member, self.capability(lease, grant, seconds), seconds))

    def capability(self, lease: Raw, grant: MemberGrant, seconds: float) -> str:
        """The lease's capability, issued now."""
        now = time.time()
        words = Capability(
            lease_uid=lease["metadata"]["uid"],
            holder_key=lease["spec"]["holderKey"],
            members=(grant,),
            issued_at=now,
            deadline=now + seconds,
            expires_at=now + 60,
        )
        return sign(words, self.rig.fabric)

    def release(self, desk: Desk, name: str) -> None:
        """Free the member with the capability in the status, and write the receipt."""
        asyncio.run(self._release(desk, name))

    async def _release(self, desk: Desk, name: str) -> None:
        (capability,) = desk.get("leases", name)["status"]["capabilities"]
        async with MemberClient(self.rig.endpoint) as client:
            await client.release(capability)
        desk.say("leases", name, released_status())

    def state(self) -> MemberState:
        """What the member says of itself."""

        async def asked() -> MemberState:
            async with MemberClient(self.rig.endpoint) as client:
                return (await client.state()).state

        return asyncio.run(asked())


@contextmanager
def one_member(root: Path) -> Iterator[OneMember]:
    """A member process for the time of the block."""
    rig = MemberRig(root)
    rig.start()
    try:
        yield OneMember(rig)
    finally:
        rig.stop()


def mode(path: Path) -> int:
    """The rights of a file."""
    return os.stat(path).st_mode & 0o777
