"""What stand-ins do that pretend to work: they take programs and tasks as a member does, and run none of them.

Every task comes to its own input; of a program with partitions, to one line in each. What is put under a grant is said
to stand where it was to go. Coordinators are real: processes that are forked here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from tasklet_runner.doors.handlers import HttpHandler
from tasklet_runner.hosting.process import WORDS, become_coordinator
from tasklet_runner.member import frames
from tasklet_runner.member.connection import HolderConnection
from tasklet_runner.member.core import MemberCore
from tasklet_runner.member.frames import Frame
from tasklet_runner.member.post import CoordinatorPost, Staff
from tasklet_runner.member.sealing import SealingKey
from tasklet_runner.member.workshop import Workshop
from tasklet_runner.wire.programs import Outcome, Program, Result, Task
from tasklet_runner.wire.work import Blob, CodeKey, Discard, Follow, Forget, Grant, Prepare, Prepared, Results, Stored

TASK_SECONDS = 0.02
LINE = b"word\t1\n"


class PretendConnection(HolderConnection):
    """Proof, renewals, draining and the end are the member's own."""

    def __init__(self, core: MemberCore, workshop: Workshop, socket: web.WebSocketResponse) -> None:
        super().__init__(core, workshop, socket)
        self._pretended: dict[int, Program] = {}
        self._parts: dict[tuple[int, int], tuple[str, ...]] = {}

    async def _act(self, message: frames.FromHolder, data: memoryview) -> None:
        match message:
            case Prepare():
                self._pretended[message.program_id] = message.program
                await self.say(Prepared(message.program_id, "", 0))
            case frames.Run():
                self._spawn(self._pretend(message, Frame(self, message, data, message.program_id, 0).tasks()))
            case Grant():
                await self.say(
                    Stored(message.index, message.attempt, self._parts.pop((message.index, message.attempt)))
                )
            case Blob() | Forget() | CodeKey() | Follow() | Discard():
                pass
            case _:
                await super()._act(message, data)

    async def _pretend(self, run: frames.Run, tasks: tuple[Task, ...]) -> None:
        await asyncio.sleep(TASK_SECONDS * len(tasks))
        program = self._pretended[run.program_id]
        for task in tasks:
            self._parts[task.index, task.attempt] = tuple(f"part-{number}" for number in range(program.partitions))
        results = tuple(Result(task.index, task.attempt, outcome(program, task)) for task in tasks)
        await self.say(Results(run.slot, run.frame, results, True))


class DoorlessRequest(web.BaseRequest):
    """A request to no application: what handlers ask their application for is not there."""

    @property
    def config_dict(self) -> Mapping[object, object]:
        """Nothing is configured."""
        return {}


class DoorlessServer(web.Server):
    """Serves connections as doors have them served."""

    def __call__(self) -> HttpHandler:
        """What speaks HTTP on one of them."""
        return HttpHandler(self, loop=asyncio.get_running_loop(), **self._kwargs)


def doorless_server(handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> "DoorlessServer":
    """A server whose requests a member's handlers understand."""
    loop = asyncio.get_running_loop()

    def request(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        return DoorlessRequest(message, payload, protocol, writer, task, loop)

    return DoorlessServer(handler, access_log=None, request_factory=request)


def outcome(program: Program, task: Task) -> Outcome:
    """What a task comes to."""
    wall = int(TASK_SECONDS * 1_000_000)
    if not program.partitions:
        return Outcome(stdout=task.input, fuel_used=1, wall_microseconds=wall)
    parts = tuple((number, len(LINE)) for number in range(program.partitions))
    held = len(parts) * len(LINE)
    return Outcome(parts=parts, held_bytes=held, fuel_used=1, wall_microseconds=wall)


def coordinator_post(core: MemberCore, sealing_key: SealingKey) -> CoordinatorPost:
    """Where a job's coordinator is forked, and asked for."""
    return CoordinatorPost(core, sealing_key, Staff(become_coordinator, WORDS))
