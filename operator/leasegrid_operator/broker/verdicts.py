"""What the API server says of tokens, remembered for some seconds, and never asked twice at once for the same."""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from leasegrid_operator.broker.gate import USER_ROLE, Gate
from leasegrid_operator.broker.lanes import Lane
from leasegrid_operator.broker.limits import Limits, Room
from leasegrid_operator.cluster import Access, Reviewed
from leasegrid_operator.errors import ClusterError
from leasegrid_operator.resources import LEASES
from tasklet_runner.wire.broker import AUDIENCE, TOKEN_HEADER
from tasklet_runner.wire.errors import RefusedError, UnreachableError

MAX_TOKEN_BYTES = 16 * 1024

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _Entry(Generic[Answer]):
    answer: Answer
    until: float


class Memory(Generic[Answer]):
    """Answers by key, the `most` latest, each until its own instant; questions that stand are joined."""

    def __init__(self, most: int, lifetime: Callable[[Answer], float]) -> None:
        self._most = most
        self._lifetime = lifetime
        self._entries: OrderedDict[Hashable, _Entry[Answer]] = OrderedDict()
        self._asking: dict[Hashable, asyncio.Task[Answer]] = {}

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer that is remembered, or a new one. Raises what `ask` raises; that is not remembered."""
        now = asyncio.get_running_loop().time()
        entry = self._entries.get(key)
        if entry is not None and now < entry.until:
            return entry.answer
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._learn(key, ask))
            task.add_done_callback(lambda done: self._asked(key, done))
        # Shielded: whoever asked first may go away while others wait for the same answer.
        return await asyncio.shield(task)

    async def _learn(self, key: Hashable, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        answer = await ask()
        self._entries[key] = _Entry(answer, asyncio.get_running_loop().time() + self._lifetime(answer))
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)
        return answer

    def _asked(self, key: Hashable, task: "asyncio.Task[Answer]") -> None:
        self._asking.pop(key, None)
        if not task.cancelled():
            task.exception()


class Verdicts:
    """Whom tokens belong to, and what these may do."""

    def __init__(self, gate: Gate, limits: Limits) -> None:
        self._gate = gate
        # A crowd of unknown tokens must not become a crowd at the API server: some are asked, some wait, the rest go.
        self._waiting = Lane("tokens to be reviewed", Room(limits.reviews.of_one, limits.reviews.of_one))
        self._reviewing = asyncio.Semaphore(limits.reviews.total)
        self._tokens: Memory[Reviewed] = Memory(
            limits.verdicts, lambda one: limits.verdict_seconds if one.authenticated else limits.refusal_seconds
        )
        self._accesses: Memory[bool] = Memory(
            limits.verdicts, lambda one: limits.verdict_seconds if one else limits.refusal_seconds
        )

    async def identify(self, token: str) -> Reviewed:
        """Whose token it is. Raises RefusedError(Unauthenticated), OverloadedError, UnreachableError."""
        if not token or len(token) > MAX_TOKEN_BYTES:
            raise _unauthenticated("there is no token" if not token else "that is no token: it is too long")
        key = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        reviewed = await self._tokens.get(key, lambda: self._review_token(token))
        if not reviewed.authenticated:
            raise _unauthenticated(f"the API server does not know the token, or not for the audience {AUDIENCE}")
        return reviewed

    async def permit(self, who: Reviewed, verb: str, namespace: str) -> None:
        """Raises RefusedError(Forbidden) unless the cluster's rules allow it; OverloadedError, UnreachableError."""
        access = Access(who.user, who.groups, namespace, verb, LEASES)
        if not await self._accesses.get(access, lambda: self._review_access(access)):
            raise RefusedError("Forbidden", _forbidden(who, verb, namespace), remedy=_permission(who, namespace))

    async def _review_token(self, token: str) -> Reviewed:
        return await self._review(lambda: self._gate.review_token(token, (AUDIENCE,)))

    async def _review_access(self, access: Access) -> bool:
        return await self._review(lambda: self._gate.review_access(access))

    async def _review(self, ask: Callable[[], Awaitable[Answer]]) -> Answer:
        with self._waiting.enter("everybody"):
            async with self._reviewing:
                try:
                    return await ask()
                except ClusterError as error:
                    raise UnreachableError(
                        f"the API server could not judge the token: {error.cause}",
                        remedy="try again; a lease that is held is renewed by its capability without it",
                    ) from error


def _unauthenticated(cause: str) -> RefusedError:
    remedy = (
        f"send a ServiceAccount token of audience {AUDIENCE} in {TOKEN_HEADER} (a projected volume, or TokenRequest)"
    )
    return RefusedError("Unauthenticated", cause, remedy=remedy)


def _forbidden(who: Reviewed, verb: str, namespace: str) -> str:
    return f"{who.user} may not {verb} {LEASES.plural}.{LEASES.group} in the namespace {namespace}"


def _permission(who: Reviewed, namespace: str) -> str:
    parts = who.user.split(":")
    account = f"--serviceaccount={parts[2]}:{parts[3]}" if len(parts) == 4 else f"--user={who.user}"
    return (
        f"the ClusterRole {USER_ROLE} gives it: kubectl create rolebinding {USER_ROLE} --clusterrole={USER_ROLE} "
        f"{account} --namespace={namespace}"
    )
