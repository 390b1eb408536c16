"""The zygote: imports everything once, then forks members on command, so that they share their memory.

Commands and replies are JSON objects, one a line, over a socketpair:
`{"spawn": {…}}` -> `{"spawned": name, "pid": n}` or `{"failed": name, "cause": "…"}`; when a member has ended,
`{"exited": name, "pid": n, "status": n}` (exit code, or minus the signal). At the end of the life pipe members end by
themselves, at once or at their deadlines; the zygote waits for the last one, removes the runtime directory and ends.
"""

import gc
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import msgspec

from tasklet_runner.member.cpu import assemble_cpu
from tasklet_runner.member.process import EXIT_ENVIRONMENT, Assemble, run_member
from tasklet_runner.member.sealing import warm_up
from tasklet_runner.member.settings import MemberSettings
from tasklet_runner.sandbox.trees import remove_tree
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.member import Role

MAX_LINE_BYTES = 1024 * 1024


class SpawnOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A member to be forked; sizes in bytes, `cpu` in millicores (for the record: cores are not divided here).

    `store`: of a Memory or Block member, the directory of its objects, of which it takes `quota` bytes.
    """

    name: str
    listen: str
    fabric_key: str
    scratch: str
    slots: int = 1
    memory: int = 1 << 30
    tmpfs: int = 256 << 20
    notify: str = ""
    reuse: str = "Reset"
    cpu: int = 1000
    role: Role = Role.CPU
    store: str = ""
    quota: int = 0


class Order(msgspec.Struct, frozen=True):
    """One line from the fabric."""

    spawn: SpawnOrder


def run_zygote(control_fd: int, life_fd: int, runtime_dir: Path) -> int:
    """Serve until the life pipe ends and the last member has gone; the exit code."""
    os.set_inheritable(control_fd, False)
    zygote = _Zygote(socket.socket(fileno=control_fd), life_fd)
    warm_up()
    gc.collect()
    gc.freeze()
    zygote.serve()
    return 0 if _removed(runtime_dir) else EXIT_ENVIRONMENT


class _Zygote:
    def __init__(self, control: socket.socket, life_fd: int) -> None:
        self._control = control
        self._life_fd = life_fd
        self._selector = selectors.DefaultSelector()
        self._members: dict[int, tuple[SpawnOrder, int]] = {}
        self._buffer = b""
        self._ending = False
        self._wakeup, wakeup = os.pipe()
        os.set_blocking(wakeup, False)
        os.set_blocking(self._wakeup, False)
        signal.signal(signal.SIGTERM, self._on_term)
        signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
        # A terminal's Ctrl-C is the fabric's to answer, not the members'.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for descriptor in (control.fileno(), life_fd, self._wakeup):
            self._selector.register(descriptor, selectors.EVENT_READ)

    def serve(self) -> None:
        while self._members or not self._ending:
            for key, _ in self._selector.select():
                # One of a batch may have ended the watching of another: life pipe and control end together.
                if key.fd in self._selector.get_map():
                    self._ready(key.fd)

    def _ready(self, descriptor: int) -> None:
        if descriptor == self._life_fd:
            self._end()
        elif descriptor == self._wakeup:
            os.read(self._wakeup, 4096)
        elif descriptor == self._control.fileno():
            self._hear()
        else:
            self._reap(descriptor)

    def _on_term(self, *_: object) -> None:
        self._end()
        for pid in self._pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def _pids(self) -> list[int]:
        return [pid for _, pid in self._members.values()]

    def _end(self) -> None:
        self._ending = True
        for descriptor in (self._life_fd, self._control.fileno()):
            with suppress(KeyError, ValueError):
                self._selector.unregister(descriptor)

    def _hear(self) -> None:
        data = self._control.recv(64 * 1024)
        if not data:
            self._selector.unregister(self._control)
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._obey(line)

    def _obey(self, line: bytes) -> None:
        try:
            order = msgspec.json.decode(line, type=Order).spawn
        except UNREADABLE as error:
            self._say({"failed": "", "cause": f"the order cannot be read: {error}"})
            return
        assemble = _assembly(order.role)
        try:
            pid = os.fork()
        except OSError as error:
            self._say({"failed": order.name, "cause": f"cannot fork: {error}"})
            return
        if pid == 0:
            self._become_member(order, assemble)
        descriptor = os.pidfd_open(pid)
        self._selector.register(descriptor, selectors.EVENT_READ)
        self._members[descriptor] = (order, pid)
        self._say({"spawned": order.name, "pid": pid})

    def _reap(self, descriptor: int) -> None:
        order, pid = self._members.pop(descriptor)
        self._selector.unregister(descriptor)
        os.close(descriptor)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        # One that was killed could not do it.
        _removed(Path(order.scratch))
        if order.role is Role.MEMORY:
            _removed(Path(order.store))
        if status < 0 and order.listen.startswith("unix://"):
            Path(order.listen.removeprefix("unix://")).unlink(missing_ok=True)
        self._say({"exited": order.name, "pid": pid, "status": status})

    def _say(self, reply: dict[str, object]) -> None:
        with suppress(OSError):  # the fabric is gone; its life pipe says so too
            self._control.sendall(msgspec.json.encode(reply) + b"\n")

    def _become_member(self, order: SpawnOrder, assemble: Assemble) -> NoReturn:
        status = 1
        try:
            self._let_go()
            status = run_member(_settings(order, self._life_fd), assemble)
            sys.stderr.flush()
        finally:
            # Never back into the zygote's loop, whatever happened; the traceback of a fault is on stderr already.
            os._exit(status)

    def _let_go(self) -> None:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._selector.close()
        self._control.close()
        os.close(self._wakeup)
        for descriptor in self._members:
            os.close(descriptor)


def _assembly(role: Role) -> Assemble:
    if role is Role.CPU:
        return assemble_cpu
    # Here: most runs have no store, and should not wait for what only stores need. In the zygote and not in the member,
    # so that the second store need not wait either.
    from tasklet_runner.member.storing import assemble_store

    return assemble_store


def _removed(directory: Path) -> bool:
    """False, with a line on stderr, when something there cannot be removed: the zygote goes on for other members."""
    try:
        remove_tree(directory)
    except OSError as error:
        sys.stderr.write(f"tasklet-runner: {directory} cannot be removed: {error} (remove it)\n")
        sys.stderr.flush()
        return False
    return True


def _settings(order: SpawnOrder, life_fd: int) -> MemberSettings:
    return MemberSettings(
        name=order.name,
        listen=order.listen,
        fabric_key=order.fabric_key,
        scratch=Path(order.scratch),
        slots=order.slots,
        memory=order.memory,
        tmpfs=order.tmpfs,
        notify=order.notify,
        replace_after_use=order.reuse == "Replace",
        life_fd=life_fd,
        role=order.role,
        store=Path(order.store),
        quota=order.quota,
    )
