"""One stand-in member: all of a real one but the sandbox, in a process that thousands of them share.

Entrance, calls, core, state machine, signatures, deadlines and hints are the real ones; `EmptyWorkshop` has no slots,
and a reset takes a fixed time. So a holder can open its connection and renew over it, but runs nothing; unless the
house pretends to work (see `pretending`).
"""

import asyncio
import secrets
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TextIO

from aiohttp import web

from tasklet_runner.member.calls import CallAnswer, Calls
from tasklet_runner.member.connection import HolderConnection
from tasklet_runner.member.core import MemberCore, Notifier
from tasklet_runner.member.decisions import Admitted, Bound, End, Refused, Released, Stale
from tasklet_runner.member.entrance import Entrance
from tasklet_runner.member.hints import notifier_for
from tasklet_runner.member.process import listen
from tasklet_runner.member.progress import Tally, Traffic
from tasklet_runner.member.sealing import SealingKey
from tasklet_runner.member.settings import MemberSettings
from tasklet_runner.member.states import Claim, Identity, MemberStates
from tasklet_runner.member.workshop import Visit, Workshop
from tasklet_runner.wire.member import MemberState, Role
from tasklet_runner.wire.statements import Bind, Capability, Release
from tests.support.cluster.pretending import DoorlessServer, PretendConnection, coordinator_post
from tests.support.cluster.records import Recorder


@dataclass(frozen=True)
class House:
    """What all stand-ins of a process share. `server` takes the connections that an entrance hands over.

    `losses`: of each verb so many answers more get lost. `pretends`: what is asked for is said to be done.
    """

    server: DoorlessServer
    records: TextIO
    reset_seconds: float
    losses: dict[str, int] = field(default_factory=dict)
    pretends: bool = False


class EmptyWorkshop(Workshop):
    """A workshop without slots: nothing to fork, to load or to wipe."""

    def __init__(self, settings: MemberSettings, reset_seconds: float) -> None:
        # Not the base's constructor: its slots are what a stand-in does without.
        self.settings = settings
        self.scratch = settings.scratch
        self.slots = ()
        self.programs = {}
        self.lifetime = Tally()
        self.traffic = Traffic()
        self._fresh()
        self.sealing_key = SealingKey()
        self.connections: set[Visit] = set()
        self.post = None
        self._reset_seconds = reset_seconds

    async def open(self) -> None:
        """Ready at once."""

    async def clear(self) -> int:
        """Takes the time of a reset."""
        await asyncio.sleep(self._reset_seconds)
        if self.post is not None:
            await self.post.clear()
        return 0


class RecordedStates(MemberStates):
    """The member's state machine, and a line for each bind and each end."""

    def __init__(self, identity: Identity, record: Recorder) -> None:
        super().__init__(identity)
        self._record = record

    def bind(self, bind: Bind, now: float) -> Bound | Refused:
        """See `MemberStates`, as for the others."""
        answer = super().bind(bind, now)
        if isinstance(answer, Bound) and not answer.repeated:
            words = {"lease": bind.lease_uid, "holder": bind.holder_key, "issued_at": bind.issued_at}
            self._record("bound", **words, epoch=bind.epoch, seconds=bind.deadline - bind.issued_at)
        return answer

    def admit(self, capability: Capability, now: float) -> Admitted | Refused:
        answer = super().admit(capability, now)
        if isinstance(answer, Admitted) and answer.extended and self.claim is not None:
            begin = self.claim.issued_at
            words = {"lease": capability.lease_uid, "holder": capability.holder_key, "issued_at": begin}
            self._record("extended", **words, epoch=self.epoch, seconds=capability.deadline - begin)
        return answer

    def release(self, statement: Capability | Release, now: float) -> Released | Stale | Refused:
        claim = self.claim
        answer = super().release(statement, now)
        if isinstance(answer, Released):
            self._ended(claim, End.RELEASED, now)
        return answer

    def tick(self, now: float) -> End | None:
        claim = self.claim
        reason = super().tick(now)
        if reason is not None:
            self._ended(claim, reason, now)
        return reason

    def revoke(self, reason: End) -> None:
        claim = self.claim
        super().revoke(reason)
        self._ended(claim, reason, asyncio.get_running_loop().time())

    def reset_finished(self, unclean: str = "") -> MemberState:
        state = super().reset_finished(unclean)
        if state is MemberState.READY:
            self._record("ready", epoch=self.epoch)
        return state

    def _ended(self, claim: Claim | None, reason: End, now: float) -> None:
        if claim is not None:
            late = now - claim.ends_at
            self._record("ended", lease=claim.lease_uid, epoch=self.epoch, reason=reason.value, late=late)


class LossyCalls(Calls):
    """A door whose answers may get lost: the call was heard and obeyed, and the connection breaks."""

    def __init__(self, core: MemberCore, losses: dict[str, int]) -> None:
        super().__init__(core)
        self._losses = losses
        self.entrance: Entrance

    def at_once(self, verb: str, body: bytes) -> CallAnswer:
        """See `Calls`."""
        answer = super().at_once(verb, body)
        if self._losses.get(verb, 0) > 0:
            self._losses[verb] -= 1
            self.entrance.door.dismiss_idle()
        return answer


class StandIn:
    """One member at its own address, from `run` until it is retired, drained or killed; then `ended` has its status."""

    pid = 0

    def __init__(self, settings: MemberSettings, house: House) -> None:
        self.settings = settings
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        identity = _identity(settings)
        self._record = Recorder(house.records, identity.member, identity.incarnation)
        self._workshop = EmptyWorkshop(settings, house.reset_seconds)
        self._notifier: Notifier = notifier_for(settings.notify)
        self.core = MemberCore(settings, identity, self._notifier, self._workshop)
        self.core.states = RecordedStates(identity, self._record)
        self._house = house
        self._routes = self._job_routes() if house.pretends else {}
        calls = LossyCalls(self.core, house.losses)
        self._entrance = calls.entrance = Entrance(calls, house.server)
        self._listening = asyncio.Event()
        self._life = asyncio.create_task(self._run())

    @property
    def host(self) -> str:
        """Its address, without the port."""
        return self.settings.listen.rpartition(":")[0]

    def send(self, number: int) -> None:
        """SIGTERM drains; SIGKILL ends it without a word. There is no process that could be stopped or continued."""
        if number == signal.SIGTERM:
            self.core.drain()
        elif number == signal.SIGKILL and not self.ended.done():
            self._life.cancel()

    async def until_ready(self, probe: object) -> None:
        """Returns when it listens and is warm."""
        await self._listening.wait()

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """What an entrance hands over: the holder's connection, and the probes of a kubelet."""
        if request.path == "/healthz":
            return web.Response(text="ok\n")
        if (request.method, request.path) in self._routes:
            return await self._routes[request.method, request.path](request)
        if request.path != "/v1/work":
            return web.Response(status=404, text="a stand-in has /healthz and /v1/work besides the plain calls\n")
        socket = web.WebSocketResponse(compress=False, timeout=1.0)
        await socket.prepare(request)
        connection = PretendConnection if self._house.pretends else HolderConnection
        await connection(self.core, self._workshop, socket).serve()
        return socket

    def _job_routes(self) -> dict[tuple[str, str], Callable[..., Awaitable[web.StreamResponse]]]:
        self._workshop.post = post = coordinator_post(self.core, self._workshop.sealing_key)
        self.settings.scratch.mkdir(parents=True, exist_ok=True)
        return {(one.method, one.path): one.handler for one in post.routes()}

    async def finished(self) -> None:
        """Wait until nothing of it is left."""
        await asyncio.gather(self._life, return_exceptions=True)

    async def _run(self) -> None:
        self._record("started")
        status = -signal.SIGKILL
        try:
            await self._entrance.open(listen(self.settings.listen))
            await self.core.warm()
            self._record("ready")
            self._listening.set()
            await self.core.ended.wait()
            self._record("gone", reason=self.core.states.reason)
            await self._entrance.close()
            await self.core.close()
            status = 0
        except asyncio.CancelledError:
            await self._fall()
        finally:
            self.ended.set_result(status)
            await self._notifier.leave()

    async def _fall(self) -> None:
        """As if the kernel had ended its process: no answer, no last hint, and no timer goes off any more."""
        claim, self.core.states.claim = self.core.states.claim, None
        if self._workshop.post is not None:
            await self._workshop.post.clear()
        self._record("killed", lease=claim.lease_uid if claim else "")
        for connection in list(self._house.server.connections):
            transport = connection.transport
            if transport is not None and transport.get_extra_info("sockname")[0] == self.host:
                transport.abort()
        self._entrance.answers.clear()
        await self._entrance.close()


def _identity(settings: MemberSettings) -> Identity:
    works = settings.role is Role.CPU
    return Identity(
        member=settings.name,
        incarnation=secrets.token_hex(16),
        slots=settings.slots if works else 0,
        tasklet_memory=settings.tasklet_memory if works else 0,
        replace_after_use=settings.replace_after_use or not works,
        role=settings.role,
    )
