"""A CPU member put together: the core around a workshop, and the one connection over which its holder works."""

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

from aiohttp import web

from tasklet_runner.doors.guests import Guest
from tasklet_runner.member.connection import HolderConnection
from tasklet_runner.member.core import MemberCore, Notifier
from tasklet_runner.member.door import Assembly
from tasklet_runner.member.metrics import checkpoint_figures, tasklet_figures
from tasklet_runner.member.post import CoordinatorPost, Staff
from tasklet_runner.member.settings import MemberSettings
from tasklet_runner.member.states import Identity
from tasklet_runner.member.workshop import Workshop
from tasklet_runner.sandbox.engine import cpu_features
from tasklet_runner.wire.work import MAX_MESSAGE_BYTES

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

HEARTBEAT_SECONDS = 8.0


def assemble_cpu(settings: MemberSettings, notifier: Notifier, staff: Staff | None = None) -> Assembly:
    """A member with slots. Its incarnation is drawn here, unless its key gave it one. `staff`: how a process of it
    becomes the coordinator of a job; None: it never does.
    """
    workshop = Workshop(settings)
    core = MemberCore(settings, _identity(settings), notifier, workshop)
    posts: tuple[web.RouteDef, ...] = ()
    if staff is not None:
        post = CoordinatorPost(core, workshop.sealing_key, staff)
        workshop.post, posts = post, post.routes()

    async def work(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            max_msg_size=MAX_MESSAGE_BYTES, compress=False, heartbeat=HEARTBEAT_SECONDS, timeout=1.0
        )
        guest = Guest.behind(request.transport)
        await socket.prepare(request)
        await HolderConnection(core, workshop, socket, guest).serve()
        return socket

    def figures() -> "Iterator[Metric]":
        yield from tasklet_figures(workshop.lifetime + workshop.tally(), workshop.traffic)
        yield from checkpoint_figures(workshop.checkpoint_tally())

    return Assembly(core, (web.get("/v1/work", work), *posts), figures)


def _identity(settings: MemberSettings) -> Identity:
    return Identity(
        member=settings.name,
        incarnation=settings.incarnation or secrets.token_hex(16),
        slots=settings.slots,
        tasklet_memory=settings.tasklet_memory,
        replace_after_use=settings.replace_after_use,
        cpu_features=cpu_features(),
    )
