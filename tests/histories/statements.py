"""What stands in signed statements, and what errors are called in a history."""

import msgspec

from tasklet_runner.wire.errors import LeaseGridError, RefusedError, UnreachableError
from tasklet_runner.wire.signed import decode_base64url
from tasklet_runner.wire.statements import Bind, Capability, Confirm, MemberGrant, Release, Retire
from tests.histories.history import UNKNOWN, Entry, Operation

_KINDS: dict[str, type[Bind] | type[Confirm] | type[Release] | type[Retire] | type[Capability]] = {
    "bind": Bind,
    "confirm": Confirm,
    "release": Release,
    "retire": Retire,
    "renew": Capability,
}


def entry_of(who: str, member: str, verb: str, statement: str, invoked: float) -> Entry:
    """The entry of an order, before anybody knows what came of it. The signature is the member's to judge."""
    payload = decode_base64url(statement.split(".")[1])
    said = msgspec.json.decode(payload, type=_KINDS[verb])
    grant = said if not isinstance(said, Capability) else listed(said, member)
    return Entry(
        who=who,
        operation=Operation(verb),
        invoked=invoked,
        outcome=UNKNOWN,
        member=member,
        incarnation=grant.incarnation,
        epoch=grant.epoch,
        lease=getattr(said, "lease_uid", ""),
        holder=getattr(said, "holder_key", ""),
        issued_at=getattr(said, "issued_at", 0.0),
        deadline=getattr(said, "deadline", 0.0),
    )


def listed(capability: Capability, member: str) -> MemberGrant:
    """The member's part in it."""
    return next(grant for grant in capability.members if grant.member == member)


def outcome_of(error: LeaseGridError) -> str:
    """A refusal's own word; UNKNOWN where nobody answered."""
    if isinstance(error, UnreachableError):
        return UNKNOWN
    return error.reason if isinstance(error, RefusedError) else error.code
