"""YAML of the four kinds, and the JSON that the broker and its clients read."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.api.loading import load_documents, read_object
from leasegrid_operator.broker.requests import check_lease_request, check_names, read_body, read_version
from tasklet_runner.coordinator.capabilities import read_capability
from tasklet_runner.fabric.answers import decoded, refusal_of
from tasklet_runner.wire.broker import ROUTES, LostReport, Refusal, ResizeRequest
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.jobs import (
    ChunkTally,
    CoordinateRequest,
    CoordinatorReport,
    Ending,
    Instruction,
    JobReport,
    Order,
)
from tasklet_runner.wire.leases import LeasedMember, LeaseRequest, LeaseView, Receipt
from tasklet_runner.wire.member import Hint, MemberState, StateReport
from tasklet_runner.wire.signed import public_text
from tasklet_runner.wire.statements import Capability
from tests.fuzz.decoder import Decoder, Try, accepts, either, pure
from tests.fuzz.of_statements import SIGNED

_EXAMPLES = Path(__file__).parents[2] / "examples"
_KEY = public_text(Ed25519PrivateKey.from_private_bytes(bytes(32)))


def _texts() -> list[bytes]:
    """The examples that people read, all kinds and nearly all fields among them."""
    found = [path.read_bytes() for path in sorted(_EXAMPLES.glob("*/*.yaml")) if path.name != "values.yaml"]
    return [text for text in found if b"apiVersion: leasegrid.dev" in text]


def _text(data: bytes) -> bool:
    """Loads, or says all that is wrong; what is loaded is the same when it is written and loaded again."""
    loaded = load_documents(data.decode("utf-8", errors="replace"), "fuzz.yaml")
    for fault in loaded.faults:
        assert str(fault).isprintable() or fault.line >= 0
    if loaded.faults:
        return False
    for item in loaded.objects:
        body = item.model_dump(by_alias=True, mode="json", exclude_unset=True)
        again = load_documents(yaml.safe_dump(body, default_style='"'), "again.yaml")
        assert (again.faults, again.objects) == ((), (item,)), f"written and read again: {again.faults}"
        found, faults = read_object(body)
        assert (found, faults) == (item, ()), f"read from a server: {faults}"
    return True


_VIEW = LeaseView(
    uid="u",
    name="n",
    version=3,
    members=(LeasedMember(name="m", endpoint="http://m:1", incarnation="i", epoch=1, slots=1, tasklet_memory=2**28),),
    capabilities=tuple(text.decode() for text in list(SIGNED)[:1]),
    expires_in=59.5,
    ttl_seconds=60,
    wanted=1,
)
_RECEIPT = Receipt(lease_uid="u", reason="Finished", members=("m",), tasklets=7)
_REPORT = JobReport(
    uid="u",
    term=2,
    sequence=9,
    phase="Running",
    stages=(ChunkTally(name="main", state="Running", total=9, completed_indexes="0-4,7"),),
    timeline=((0, 1, 2, 3), (10, 2, 3, 4)),
    ending=Ending(complete=True, reason="Complete"),
)
_STATE = StateReport(member="m", incarnation="i", epoch=1, state=MemberState.CLAIMED, slots=1, tasklet_memory=1)
BODIES: tuple[msgspec.Struct, ...] = (
    LeaseRequest(request_id="r", holder_key=_KEY, count=3, pools=("cpu",), cpu_features=("avx2",), priority=-5),
    ResizeRequest(count=3, give_back=("m",)),
    LostReport(member="m", reason="why"),
    _REPORT,
    Hint(member="m", incarnation="i", epoch=1, state=MemberState.READY),
)
ANSWERS: tuple[msgspec.Struct, ...] = (
    _VIEW,
    _RECEIPT,
    _STATE,
    Instruction(order=Order.STOP, why="suspended"),
    CoordinatorReport(sealing_key=bytes(32)),
    CoordinateRequest("statement", b"order"),
    Refusal(code="NotLeader", cause="c", remedy="r", leader="http://l"),
)


def _any_of(
    kinds: tuple[type[msgspec.Struct], ...], read: Callable[[bytes, type[msgspec.Struct]], msgspec.Struct]
) -> Try:
    return either(*(accepts(lambda data, kind=kind: read(data, kind), msgspec.json.encode) for kind in kinds))  # type: ignore[misc]  # a default binds


def _checked(data: bytes, kind: type[msgspec.Struct]) -> msgspec.Struct:
    body = read_body(data, kind)
    if isinstance(body, LeaseRequest):
        check_lease_request(body)
    return body


def _words(data: bytes) -> bool:
    """What stands in a path, a query or a capability that is shown: read, or refused in words."""
    text, read = data.decode("latin-1"), 0
    for look in (lambda: read_version(text), lambda: check_names(text, text), lambda: read_capability(text)):
        try:
            look()
        except LeaseGridError:
            continue
        read += 1
    return read > 0


def _refusal(data: bytes) -> bool:
    error = refusal_of(503, data, {"Retry-After": data[:8].decode("latin-1")})
    assert str(error)
    return False


_ROUTED = tuple(dict.fromkeys(route.body for route in ROUTES if route.body is not None))

DECODERS = (
    Decoder(
        "YAML of the four kinds",
        _texts,
        pure(_text),
        60,
        (
            "leasegrid.api.documents",
            "leasegrid.api.loading",
            "leasegrid.api.kind_rules",
            "leasegrid.api.graph_rules",
            "leasegrid.api.quantities",
            "leasegrid.api.views",
        ),
    ),
    Decoder(
        "bodies of requests to the broker",
        lambda: list(map(msgspec.json.encode, BODIES)),
        pure(_any_of(_ROUTED, _checked)),
        600,
    ),
    Decoder(
        "answers of broker, members and coordinators",
        lambda: list(map(msgspec.json.encode, ANSWERS)),
        pure(either(_any_of(tuple(map(type, ANSWERS)), decoded), _refusal)),
        300,
    ),
    Decoder(
        "words of requests",
        lambda: [b"17", b"default", *(text for text, kind in SIGNED.items() if isinstance(kind, Capability))],
        pure(_words),
        800,
    ),
)
