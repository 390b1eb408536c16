"""The member's calls: one signed statement in, one JSON answer out. Both ways through the door lead here."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from tasklet_runner.member.core import MemberCore
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import LeaseGridError, ProtocolError, RefusedError, StoreError
from tasklet_runner.wire.member import ErrorReply, RenewReply, SignedRequest

_STATUS = {
    "BadRequest": 400,
    "BadSignature": 401,
    "Unauthenticated": 401,
    "Conflict": 409,
    "NotReady": 409,
    "Fenced": 409,
    "LeaseExpired": 410,
    StoreError.code: 507,
}

_decode_request = msgspec.json.Decoder(SignedRequest).decode
_encode = msgspec.json.encode


@dataclass(frozen=True)
class CallAnswer:
    """An HTTP status and a JSON body."""

    status: int
    body: bytes


class Calls:
    """Holds nothing but the core. `release` takes time, until scratch is wiped; all others are answered at once."""

    def __init__(self, core: MemberCore) -> None:
        self._core = core
        self._acts: dict[str, Callable[[str], object]] = {
            "bind": core.bind,
            "confirm": core.confirm,
            "renew": self._renew,
            "retire": core.retire,
        }

    def state(self) -> CallAnswer:
        """What the member says of itself."""
        return CallAnswer(200, _encode(self._core.report()))

    def at_once(self, verb: str, body: bytes) -> CallAnswer:
        """Bind, confirm, renew or retire."""
        try:
            return _yes(self._acts[verb](_statement(body)))
        except LeaseGridError as error:
            return _no(error)

    async def release(self, body: bytes) -> CallAnswer:
        """Release; answered when scratch is wiped."""
        try:
            return _yes(await self._core.release(_statement(body)))
        except LeaseGridError as error:
            return _no(error)

    def _renew(self, statement: str) -> RenewReply:
        return RenewReply(seconds_left=self._core.renew(statement))


def refusal(code: str, cause: str, remedy: str = "") -> bytes:
    """The body of a refusal."""
    return _encode(ErrorReply(code=code, cause=cause, remedy=remedy))


def _statement(body: bytes) -> str:
    try:
        return _decode_request(body).statement
    except UNREADABLE as error:
        raise ProtocolError(f"the request cannot be read: {error}", remedy='send {"statement": "…"}') from error


def _yes(reply: object) -> CallAnswer:
    return CallAnswer(200, b"{}" if reply is None else _encode(reply))


def _no(error: LeaseGridError) -> CallAnswer:
    if isinstance(error, RefusedError):
        return CallAnswer(_STATUS[error.reason], refusal(error.reason, error.cause, error.remedy))
    if isinstance(error, ProtocolError | StoreError):
        return CallAnswer(_STATUS.get(error.code, 400), refusal(error.code, error.cause, error.remedy))
    raise error
