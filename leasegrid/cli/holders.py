"""The holder keys of this user's leases on clusters.

`$XDG_STATE_HOME/leasegrid/holders/<context>/<namespace>/<lease>`, mode 0600: who has it can use the lease's members.
A context may have any name (those of cloud providers hold `:` and `/`), so it is percent-encoded (RFC 3986).
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from os import environ
from pathlib import Path
from urllib.parse import quote

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.cli.lease_objects import LeaseObject
from leasegrid.local.keys import fabric_key, kept_key
from leasegrid.local.state import StateDirectory
from tasklet_runner.wire.errors import ClusterError, StateDirectoryError
from tasklet_runner.wire.signed import public_text

_WHAT = "the holder's key"
_YOUNG_SECONDS = 600.0


@dataclass(frozen=True)
class HolderPlace:
    """Where the key of one lease is kept."""

    path: Path

    def make(self) -> Ed25519PrivateKey:
        """The key, made when there is none. Raises StateDirectoryError."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return fabric_key(self.path, _WHAT)
        except OSError as error:
            raise StateDirectoryError(
                f"{_WHAT} {self.path} cannot be made: {error.strerror}",
                remedy="check its rights, or set XDG_STATE_HOME",
            ) from error

    def key_of(self, lease: LeaseObject) -> Ed25519PrivateKey:
        """The key of a lease. Raises ClusterError when it is not on this machine, StateDirectoryError."""
        try:
            key = kept_key(self.path, _WHAT)
        except FileNotFoundError as error:
            raise _absent(lease, self.path) from error
        if public_text(key) != lease.spec.holder_key:
            raise _absent(lease, self.path)
        return key

    def remove(self) -> None:
        """Delete the key, and directories that are empty then; one that is gone is no error."""
        with suppress(OSError):
            self.path.unlink()
            self.path.parent.rmdir()
            self.path.parent.parent.rmdir()


def place_of(context: str, namespace: str, name: str, environment: Mapping[str, str] = environ) -> HolderPlace:
    """Where the key of a lease is kept, or would be."""
    root = StateDirectory.default(environment).root
    return HolderPlace(root / "holders" / (quote(context, safe="").replace(".", "%2E") or "_") / namespace / name)


def tidy(context: str, namespace: str, live: Collection[str], now: float) -> None:
    """Delete keys of leases that are not `live` any more: nobody can use them. `now` in UNIX seconds."""
    for path in place_of(context, namespace, "*").path.parent.glob("*"):
        # A claim makes its key before its lease.
        if path.name not in live and path.stat().st_mtime < now - _YOUNG_SECONDS:
            HolderPlace(path).remove()


def _absent(lease: LeaseObject, path: Path) -> ClusterError:
    if not lease.spec.holder_key:
        return ClusterError(
            f"the lease {lease.name!r} names no holderKey, so nobody can use its members",
            remedy="claim one with a key: leasegrid claim",
        )
    return ClusterError(
        f"the holder's key of the lease {lease.name!r} is not on this machine (it would be {path})",
        remedy="use the machine and user that claimed it, or claim one here: leasegrid claim",
    )
