"""One operator and one kubelet of stand-ins for all leases of a test module; each test has pools of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.coordinator.capabilities import read_capability
from tasklet_runner.wire.signed import public_text
from tasklet_runner.wire.statements import Capability
from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import Object, OperatorRig, operator_rig
from tests.support.cluster.records import Record, holders

HOLDER = Ed25519PrivateKey.generate()
HOLDER_KEY = public_text(HOLDER)


@contextmanager
def lease_house(plane: ControlPlane, directory: Path, *, nodes: int = 1, replicas: str = "a") -> Iterator[OperatorRig]:
    """A rig whose replicas run, the first of them as leader; at its end nothing was bound twice."""
    with operator_rig(plane, directory, nodes=nodes) as rig:
        for name in replicas:
            rig.start(name)
            rig.until_leads(replicas[0])
        yield rig
        rig.check_none_bound_twice()


def clear(rig: OperatorRig) -> None:
    """Delete all leases and pools; their members end beside."""
    for plural in ("leases", "instancepools"):
        for one in rig.all(plural):
            rig.delete(plural, one["metadata"]["name"])


@dataclass(frozen=True)
class Court:
    """A pool of one test's own, and leases of it."""

    rig: OperatorRig
    pool: str

    def named(self, word: str) -> str:
        """A lease's name that no other test has."""
        return f"{self.pool}-{word}"

    def lease(self, word: str, **spec: object) -> str:
        """Make a lease of this pool; returns its name."""
        name = self.named(word)
        self.rig.lease(name, **{"poolRefs": [{"name": self.pool}], "holderKey": HOLDER_KEY} | spec)
        return name

    def bound(self, word: str, **spec: object) -> str:
        """Make one and wait until it is bound."""
        name = self.lease(word, **spec)
        self.rig.until_bound(name)
        return name

    def uid(self, name: str) -> str:
        """A lease's uid."""
        return str(self.rig.get("leases", name)["metadata"]["uid"])

    def receipt(self, name: str) -> Object:
        """What an ended lease left behind in writing."""
        found: Object = self.rig.status("leases", name)["receipt"]
        return found

    def capability(self, name: str) -> Capability:
        """The first of a lease's capabilities, as anybody may read it."""
        return read_capability(self.rig.status("leases", name)["capabilities"][0])

    def held_by(self, name: str) -> list[str]:
        """The members that are bound to a lease, by their own records."""
        uid = self.uid(name)
        return [member for member, lease in holders(self.rig.records()).items() if lease == uid]

    def records_of(self, name: str) -> list[Record]:
        """What members recorded of a lease."""
        uid = self.uid(name)
        return [one for one in self.rig.records() if one.lease == uid]

    def until_warm(self, count: int) -> None:
        """Wait until so many members of the pool are ready, and none is anything else."""
        self.rig.until_members(self.pool, ready=count)

    def released(self, name: str, reason: str) -> Object:
        """Wait until a lease has ended for that reason; returns its receipt."""
        self.rig.until_said(name, "Released", reason)
        return self.receipt(name)


def court(rig: OperatorRig, size: int, **spec: object) -> Court:
    """A pool of so many warm members."""
    made = Court(rig, f"p{uuid4().hex[:6]}")
    rig.pool(size, made.pool, **spec)
    made.until_warm(size)
    return made
