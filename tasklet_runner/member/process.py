"""A member's process from start to end: door open, warm, serve, leave nothing behind."""

import asyncio
import gc
import os
import secrets
import signal
import socket
import sys
from contextlib import suppress

from aiohttp import web

from tasklet_runner.member.calls import Calls
from tasklet_runner.member.core import MemberCore
from tasklet_runner.member.door import make_app
from tasklet_runner.member.entrance import Entrance
from tasklet_runner.member.hints import notifier_for
from tasklet_runner.member.settings import MemberSettings
from tasklet_runner.member.states import Identity
from tasklet_runner.sandbox.confine import make_undumpable
from tasklet_runner.sandbox.engine import cpu_features
from tasklet_runner.sandbox.trees import remove_tree
from tasklet_runner.wire.errors import LeaseGridError, StateDirectoryError

EXIT_ENVIRONMENT = 4
"""The port is taken, or a path or the scratch cannot be used."""

_UNIX = "unix://"
_BACKLOG = 128


def run_member(settings: MemberSettings) -> int:
    """Run a member until it ends; its exit code. One clear line on stderr says why it could not run."""
    try:
        with listen(settings.listen) as door:
            _run(settings, door)
    except LeaseGridError as error:
        sys.stderr.write(f"tasklet-runner: {error}\n")
        sys.stderr.flush()
        return EXIT_ENVIRONMENT
    return 0


def _run(settings: MemberSettings, door: socket.socket) -> None:
    make_undumpable()
    try:
        asyncio.run(_serve(settings, door))
    finally:
        if settings.listen.startswith(_UNIX):
            with suppress(FileNotFoundError):
                os.unlink(settings.listen.removeprefix(_UNIX))


def listen(address: str) -> socket.socket:
    """A listening socket at `host:port` or `unix:///path`. Raises StateDirectoryError, saying what to do."""
    try:
        return _listen_unix(address.removeprefix(_UNIX)) if address.startswith(_UNIX) else _listen_tcp(address)
    except (OSError, ValueError) as error:
        raise StateDirectoryError(
            f"cannot listen at {address}: {error}",
            remedy="is it taken by another process? choose another --listen, or end that process",
        ) from error


def _listen_unix(path: str) -> socket.socket:
    door = socket.socket(socket.AF_UNIX)
    try:
        door.bind(path)
        os.chmod(path, 0o600)
        door.listen(_BACKLOG)
    except OSError:
        door.close()
        raise
    return door


def _listen_tcp(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host.strip("[]"), int(port)), family=family, backlog=_BACKLOG)


async def _serve(settings: MemberSettings, door: socket.socket) -> None:
    core = MemberCore(settings, _identity(settings), notifier_for(settings.notify))
    calls = Calls(core)
    runner = web.AppRunner(make_app(core, calls), access_log=None, handle_signals=False, shutdown_timeout=0.5)
    await runner.setup()
    entrance = Entrance(calls, _server_of(runner))
    await entrance.open(door)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, core.drain)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if settings.life_fd >= 0:
        loop.add_reader(settings.life_fd, _life_ended, core, settings.life_fd)
    try:
        gc.collect()
        gc.freeze()
        await _warm(core)
        await core.ended.wait()
    finally:
        await entrance.close()
        await runner.cleanup()
        await _leave_nothing(core)


def _server_of(runner: web.AppRunner) -> web.Server:
    if runner.server is None:
        raise RuntimeError("the runner was not set up")
    return runner.server


async def _leave_nothing(core: MemberCore) -> None:
    scratch = core.settings.scratch
    try:
        try:
            await core.close()
        finally:
            remove_tree(scratch)
    except OSError as error:
        raise StateDirectoryError(f"the scratch {scratch} cannot be removed: {error}", remedy="remove it") from error


async def _warm(core: MemberCore) -> None:
    try:
        await core.warm()
    except OSError as error:
        raise StateDirectoryError(
            f"the scratch {core.settings.scratch} cannot be used: {error}",
            remedy="give --scratch a directory that can be written, with free space",
        ) from error


def _life_ended(core: MemberCore, descriptor: int) -> None:
    asyncio.get_running_loop().remove_reader(descriptor)
    core.orphan()


def _identity(settings: MemberSettings) -> Identity:
    return Identity(
        member=settings.name,
        incarnation=secrets.token_hex(16),
        slots=settings.slots,
        tasklet_memory=settings.tasklet_memory,
        replace_after_use=settings.replace_after_use,
        cpu_features=cpu_features(),
    )
