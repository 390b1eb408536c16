"""The two credentials: a ServiceAccount's token, or a lease's own capability with its holder's proof."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from leasegrid_operator.broker.desk import Desk
from leasegrid_operator.broker.limits import Limits
from leasegrid_operator.broker.nonces import Nonces
from leasegrid_operator.broker.verdicts import Verdicts
from tasklet_runner.wire.broker import CAPABILITY_HEADER, PROOF_HEADER, TOKEN_HEADER, Door, Route, proof_for
from tasklet_runner.wire.errors import RefusedError
from tasklet_runner.wire.signed import public_key, verify
from tasklet_runner.wire.statements import Capability, RequestProof


@dataclass(frozen=True)
class Knock:
    """A request as its credentials see it: `path` with its query as it was sent; `uid` empty where there is none."""

    route: Route
    method: str
    path: str
    body: bytes
    namespace: str
    uid: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Visitor:
    """Who came in: `caller` is what limits count by, `name` is for people; the capability, when that opened."""

    caller: str
    name: str = ""
    capability: Capability | None = None


class Credentials:
    """Judges them. `nonces` are this replica's own."""

    def __init__(self, desk: Desk, verdicts: Verdicts, limits: Limits) -> None:
        self._desk = desk
        self._verdicts = verdicts
        self._public = desk.fabric_key.public_key()
        self.nonces = Nonces(limits.nonce_seconds, limits.nonces)

    async def admit(self, knock: Knock) -> Visitor:
        """Who this is, and that the route is open to it.

        Raises RefusedError (Unauthenticated, Forbidden, StaleNonce), SignatureError, UnreachableError,
        OverloadedError.
        """
        if knock.route.door is Door.HOLDER and CAPABILITY_HEADER in knock.headers:
            return self._by_capability(knock)
        return await self._by_token(knock)

    async def _by_token(self, knock: Knock) -> Visitor:
        who = await self._verdicts.identify(knock.headers.get(TOKEN_HEADER, ""))
        await self._verdicts.permit(who, knock.route.verb, knock.namespace)
        return Visitor(caller=who.user, name=who.user)

    def _by_capability(self, knock: Knock) -> Visitor:
        statement = knock.headers[CAPABILITY_HEADER]
        capability = verify(statement, Capability, self._public)
        if capability.lease_uid != knock.uid:
            raise RefusedError(
                "Forbidden", f"the capability is of the lease {capability.lease_uid}, not of {knock.uid}",
                remedy="send one of this lease's own",
            )  # fmt: skip
        proof = verify(knock.headers.get(PROOF_HEADER, ""), RequestProof, public_key(capability.holder_key))
        if proof != proof_for((knock.method, knock.path, knock.body), statement, proof.nonce):
            raise RefusedError(
                "Unauthenticated", "the proof is of another request", remedy="sign method, path, body and capability"
            )
        self.nonces.spend(proof.nonce, asyncio.get_running_loop().time())
        return Visitor(caller=f"lease {capability.lease_uid}", capability=capability)
