"""A member's process from start to end: door open, warm, serve, leave nothing behind."""

import asyncio
import errno
import gc
import os
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from aiohttp import web

from tasklet_runner.doors.bodies import BUDGETS
from tasklet_runner.doors.handlers import HttpHandler
from tasklet_runner.doors.limits import DoorLimits, own_limits
from tasklet_runner.member.calls import Calls
from tasklet_runner.member.core import MemberCore, Notifier
from tasklet_runner.member.door import Assembly, make_app
from tasklet_runner.member.entrance import Entrance
from tasklet_runner.member.hints import notifier_for
from tasklet_runner.member.logs import log_to_stderr
from tasklet_runner.member.settings import MemberSettings
from tasklet_runner.sandbox.confine import make_undumpable
from tasklet_runner.sandbox.trees import empty_tree
from tasklet_runner.wire.errors import LeaseGridError, StateDirectoryError

EXIT_ENVIRONMENT = 4
"""The port is taken, or a path or the scratch cannot be used."""

_UNIX = "unix://"
_BACKLOG = 128
READ_BUFFER_BYTES = 1024 * 1024
_MOUNTED = frozenset({errno.EBUSY, errno.EROFS, errno.EACCES, errno.EPERM})

Assemble = Callable[[MemberSettings, Notifier], Assembly]
"""Makes the member of one role. Passed in, so that a store member's process never loads the sandbox."""


def run_member(settings: MemberSettings, assemble: Assemble) -> int:
    """Run a member until it ends; its exit code. One clear line on stderr says why it could not run."""
    log_to_stderr()
    try:
        with listen(settings.listen) as door:
            _run(settings, assemble, door)
    except LeaseGridError as error:
        sys.stderr.write(f"tasklet-runner: {error}\n")
        sys.stderr.flush()
        return EXIT_ENVIRONMENT
    return 0


def _run(settings: MemberSettings, assemble: Assemble, door: socket.socket) -> None:
    make_undumpable()
    tls = None
    if settings.tls:
        # Here, as a member without TLS has no use for X.509.
        from tasklet_runner.member.tls import OwnKey

        own = OwnKey.make(settings.name)
        settings, tls = replace(settings, incarnation=own.incarnation), own.context
    try:
        asyncio.run(_serve(settings, assemble, door, tls))
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


async def _serve(settings: MemberSettings, assemble: Assemble, door: socket.socket, tls: ssl.SSLContext | None) -> None:
    notifier = notifier_for(settings.notify, settings.notify_ca, settings.notify_name)
    assembly = assemble(settings, notifier)
    core, calls = assembly.core, Calls(assembly.core)
    limits = own_limits()
    entrance = Entrance(calls, lambda: _handler(runner, limits), limits)
    app = make_app(assembly, calls, entrance.door.crowd)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.5)
    await runner.setup()
    entrance.door.hurries = lambda: app[BUDGETS].leaving.waiting > 0
    await entrance.open(door, tls)
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
        try:
            await _leave_nothing(core)
        finally:
            await notifier.leave()


def _handler(runner: web.AppRunner, limits: DoorLimits) -> HttpHandler:
    return HttpHandler.behind(
        runner,
        limits,
        # Lingering reads the rest of a refused upload, so that its sender gets to read the refusal.
        lingering_time=2.0,
        # So much of a body is taken in while the disk is busy with what came before.
        read_bufsize=READ_BUFFER_BYTES,
    )


async def _leave_nothing(core: MemberCore) -> None:
    scratch = core.settings.scratch
    try:
        try:
            await core.close()
        finally:
            _remove(scratch)
    except OSError as error:
        raise StateDirectoryError(f"the scratch {scratch} cannot be removed: {error}", remedy="remove it") from error


def _remove(scratch: Path) -> None:
    """A volume's mount point stays, empty: only who mounted it can remove it."""
    try:
        empty_tree(scratch)
        scratch.rmdir()
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in _MOUNTED or os.listdir(scratch):
            raise


async def _warm(core: MemberCore) -> None:
    try:
        await core.warm()
    except OSError as error:
        raise StateDirectoryError(
            f"the scratch {core.settings.scratch} or the store cannot be used: {error}",
            remedy="give --scratch (and --store) a directory that can be written, with free space",
        ) from error


def _life_ended(core: MemberCore, descriptor: int) -> None:
    asyncio.get_running_loop().remove_reader(descriptor)
    core.orphan()
