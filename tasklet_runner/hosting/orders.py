"""The opened order of a coordinator, read: whatever does not fit is told as what it is."""

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.jobs import CoordinatorOrder

_REMEDY = "run operator and members of one version"
_ORDER = msgspec.msgpack.Decoder(CoordinatorOrder)
_PLAN = msgspec.json.Decoder(Plan)


def read_order(data: bytes) -> CoordinatorOrder:
    """The order, from MessagePack. Raises ProtocolError."""
    try:
        return _ORDER.decode(data)
    except UNREADABLE as error:
        raise ProtocolError(f"the coordinator's order cannot be read: {error}", remedy=_REMEDY) from error


def plan_of(order: CoordinatorOrder) -> Plan:
    """The plan in it. Raises ProtocolError."""
    try:
        return _PLAN.decode(order.plan)
    except UNREADABLE as error:
        raise ProtocolError(f"the plan in the coordinator's order cannot be read: {error}", remedy=_REMEDY) from error


def holder_of(order: CoordinatorOrder) -> Ed25519PrivateKey:
    """The key of all its leases. Raises ProtocolError."""
    try:
        return Ed25519PrivateKey.from_private_bytes(order.key)
    except ValueError as error:
        raise ProtocolError(f"the key in the coordinator's order is none: {error}", remedy=_REMEDY) from error
