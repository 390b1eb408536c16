"""Reads which members a capability lists; whether it is genuine is for the members to judge."""

from collections.abc import Iterable

import msgspec

from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.signed import decode_base64url
from tasklet_runner.wire.statements import Capability


def capabilities_by_member(capabilities: Iterable[str]) -> dict[str, str]:
    """For each member name the capability that lists it, the one with the latest deadline. Raises ProtocolError."""
    latest: dict[str, tuple[float, str]] = {}
    for text in capabilities:
        capability = read_capability(text)
        for grant in capability.members:
            known = latest.get(grant.member)
            if known is None or known[0] < capability.deadline:
                latest[grant.member] = (capability.deadline, text)
    return {member: text for member, (_, text) in latest.items()}


def read_capability(text: str) -> Capability:
    """What a capability says, believed as it stands. Raises ProtocolError."""
    parts = text.split(".")
    if len(parts) != 3:
        raise ProtocolError("the fabric issued a capability that is no signed statement", remedy="update the fabric")
    try:
        return msgspec.json.decode(decode_base64url(parts[1]), type=Capability)
    except UNREADABLE as error:
        raise ProtocolError(f"the fabric issued a capability that cannot be read: {error}") from error
