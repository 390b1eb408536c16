"""The coordinator's process at a member: at most one, by the fabric's order, for as long as the claim stands."""

import asyncio
import hashlib
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import msgspec
from aiohttp import web

from tasklet_runner.doors.bodies import whole_body
from tasklet_runner.member.answers import json_of, worded
from tasklet_runner.member.codes import readable
from tasklet_runner.member.core import MemberCore
from tasklet_runner.member.sealing import SealingKey
from tasklet_runner.sandbox.confine import close_all_but, die_with_parent
from tasklet_runner.wire.broker import Accepted
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import ProtocolError, RefusedError
from tasklet_runner.wire.jobs import (
    COORDINATOR_PATH,
    MAX_ORDER_BYTES,
    Coordinate,
    CoordinateRequest,
    CoordinatorReport,
    CoordinatorState,
)
from tasklet_runner.wire.signed import encode_base64url, public_key, verify

Become = Callable[[bytes, Path], NoReturn]
"""Turns a freshly forked process into a coordinator: the order, and a directory of its own."""


@dataclass(frozen=True)
class Staff:
    """What this member knows of coordinators: `become` one, and `words` for people of the code with which one exits."""

    become: Become
    words: Mapping[int, str]


_decode = msgspec.json.Decoder(CoordinateRequest).decode


class CoordinatorPost:
    """Forks the process and tells of it; the core's claim decides."""

    def __init__(self, core: MemberCore, sealing_key: SealingKey, staff: Staff) -> None:
        self._core = core
        self._sealing_key = sealing_key
        self._staff = staff
        self._term = 0
        self._pid = 0
        self._ended = ""
        self._reaping: asyncio.Task[None] | None = None

    def routes(self) -> tuple[web.RouteDef, ...]:
        """Both; every error leaves as a refusal."""
        return (
            web.get(COORDINATOR_PATH, worded(self._report)),
            web.post(COORDINATOR_PATH, worded(self._ordered)),
        )

    def stop(self) -> None:
        """Kill it, because the lease is over."""
        if self._pid:
            os.kill(self._pid, signal.SIGKILL)

    async def clear(self) -> None:
        """Kill and reap it, and forget the order."""
        self.stop()
        if self._reaping is not None:
            await self._reaping
            self._reaping = None
        self._term, self._ended = 0, ""

    async def _report(self, _: web.Request) -> web.Response:
        state = (
            CoordinatorState.RUNNING if self._pid else CoordinatorState.ENDED if self._term else CoordinatorState.NONE
        )
        return json_of(
            CoordinatorReport(sealing_key=self._sealing_key.public, state=state, term=self._term, words=self._ended)
        )

    async def _ordered(self, request: web.Request) -> web.Response:
        body = await _body_of(request)
        order = self._checked(body)
        if order.term == self._term:
            return json_of(Accepted())
        opened = self._sealing_key.open_order(body.order)
        await self.clear()
        # Asked again: the claim may have ended while the one before was reaped.
        self._checked(body)
        self._term = order.term
        self._fork(opened)
        return json_of(Accepted())

    def _checked(self, body: CoordinateRequest) -> Coordinate:
        order = verify(body.statement, Coordinate, public_key(self._core.settings.fabric_key))
        claim, identity = self._core.claim, self._core.states.identity
        if claim is None or not self._core.serving:
            raise RefusedError("NotReady", "this member has no lease, or is about to go", remedy="order it elsewhere")
        named = (order.lease_uid, order.member, order.incarnation, order.epoch)
        if named != (claim.lease_uid, identity.member, identity.incarnation, self._core.states.epoch):
            raise RefusedError("Fenced", "the order is for another claim", remedy="read the lease again")
        if order.term < self._term:
            raise RefusedError("Fenced", f"a coordinator of term {self._term} runs here", remedy="order no older one")
        if encode_base64url(hashlib.sha256(body.order).digest()) != order.digest:
            raise RefusedError("Unauthenticated", "the order is not the one that was signed", remedy="send that one")
        return order

    def _fork(self, order: bytes) -> None:
        directory = self._core.settings.scratch / "coordinator"
        directory.mkdir(mode=0o700, exist_ok=True)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            die_with_parent(parent)
            close_all_but({0, 1, 2})
            self._staff.become(order, directory)
        self._pid = pid
        self._reaping = asyncio.get_running_loop().create_task(self._reap(pid))

    async def _reap(self, pid: int) -> None:
        descriptor = os.pidfd_open(pid)
        try:
            await readable(descriptor)
        finally:
            os.close(descriptor)
        status = _exit_code(pid)
        self._pid = 0
        self._ended = self._staff.words.get(status) or f"it was ended by signal {-status}"


def _exit_code(ended: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(ended, 0)[1])


async def _body_of(request: web.Request) -> CoordinateRequest:
    body = await whole_body(request, 2 * MAX_ORDER_BYTES)
    try:
        return _decode(body)
    except UNREADABLE as error:
        raise ProtocolError(f"the order cannot be read: {error}", remedy="send a CoordinateRequest") from error
