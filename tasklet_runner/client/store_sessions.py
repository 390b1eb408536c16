"""A holder's session at a leased store: opened by proof of possession when first needed, and again when it is gone."""

import asyncio
import base64

import aiohttp
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tasklet_runner.client.refusals import error_of, reply_of
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import LeaseGridError, ProtocolError, UnreachableError
from tasklet_runner.wire.signed import sign
from tasklet_runner.wire.statements import Capability, Challenge
from tasklet_runner.wire.store import CHALLENGE_PATH, SESSION_PATH, ChallengeReply, SessionReply, SessionRequest


class StoreSession:
    """Opens sessions at one endpoint for one holder. `capability` is shown each time; set a renewed one here."""

    def __init__(self, base: str, capability: str, holder_key: Ed25519PrivateKey) -> None:
        self.capability = capability
        self._base = base
        self._holder_key = holder_key
        self._token = ""
        self._opening = asyncio.Lock()

    async def token(self, http: aiohttp.ClientSession, spent: str = "") -> str:
        """The session's token; a new one when it is `spent`, the token that was refused.

        Raises RefusedError as a work connection does (LeaseExpired, Fenced, Unauthenticated, BadSignature …),
        UnreachableError when another member than the leased one answers, and aiohttp's own errors.
        """
        async with self._opening:
            if self._token in ("", spent):
                self._token = await self._open(http)
            return self._token

    async def _open(self, http: aiohttp.ClientSession) -> str:
        async with http.get(self._base + CHALLENGE_PATH) as response:
            said = await response.read()
        if response.status != 200:
            raise _refused(response.status, said)
        asked = msgspec.json.decode(said, type=ChallengeReply)
        if (asked.member, asked.incarnation) not in _listed(self.capability):
            raise UnreachableError(
                f"{self._base} is now {asked.member}, in an incarnation that the capability does not list",
                remedy="the member that was leased has ended; read the lease's status for its successor",
            )
        challenge = Challenge(nonce=asked.nonce, member=asked.member, incarnation=asked.incarnation)
        shown = msgspec.json.encode(SessionRequest(self.capability, sign(challenge, self._holder_key)))
        async with http.post(self._base + SESSION_PATH, data=shown) as response:
            said = await response.read()
        if response.status != 200:
            raise _refused(response.status, said)
        return msgspec.json.decode(said, type=SessionReply).session


def _refused(status: int, body: bytes) -> LeaseGridError:
    return error_of(reply_of(status, body))


def _listed(capability: str) -> set[tuple[str, str]]:
    """Members and incarnations of a capability, unverified: only the members themselves need to trust it."""
    payload = capability.split(".")[1] if capability.count(".") == 2 else ""
    try:
        data = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
        shown = msgspec.json.decode(data, type=Capability)
    except (ValueError, *UNREADABLE) as error:
        raise ProtocolError("the capability cannot be read", remedy="give it as the lease's status has it") from error
    return {(grant.member, grant.incarnation) for grant in shown.members}
