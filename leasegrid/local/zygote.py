"""The fabric's end of the zygote: the process that has imported everything and forks members on command.

`python -m tasklet_runner zygote --control-fd N --life-fd M --runtime-dir DIR`. Control is newline-delimited JSON over a
socket pair; the other end of the life pipe is held by this process alone, so that its death, however it comes, is the
members' signal to end.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from leasegrid.local.runtime import RuntimeDirectory
from tasklet_runner.wire.errors import UnreachableError

MAX_LINE_BYTES = 1024 * 1024


class SpawnOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A member to be forked. Sizes in bytes; `cpu` in millicores; `notify` and `listen` are endpoints.

    `store`: of a Memory or Block member, the directory of its objects, of which it takes `quota` bytes.
    """

    name: str
    listen: str
    fabric_key: str
    scratch: str
    slots: int
    memory: int
    tmpfs: int
    notify: str
    reuse: str = "Reset"
    cpu: int = 1000
    role: str = "CPU"
    store: str = ""
    quota: int = 0


class _Order(msgspec.Struct, frozen=True):
    spawn: SpawnOrder


class ZygoteEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the zygote says: exactly one of `spawned`, `failed` and `exited` names the member.

    `status` as of waitpid (negative: the signal that ended it, where the zygote says so).
    """

    spawned: str = ""
    failed: str = ""
    exited: str = ""
    pid: int = 0
    status: int = 0
    cause: str = ""


class Zygote:
    """Started at construction, without an event loop: it imports while its caller still does.

    It is the leader of a session of its own, so that Ctrl-C in a terminal does not reach it or its members, and so
    that everything it ever forked can be found by that session.
    """

    def __init__(self, runtime: RuntimeDirectory) -> None:
        self.runtime = runtime
        self._control, theirs = socket.socketpair()
        life, self._life = os.pipe()
        inherited = (theirs.fileno(), life, runtime.lock.descriptor)
        self._log = runtime.path / "zygote.log"
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-m", "tasklet_runner", "zygote"),
                        *("--control-fd", str(theirs.fileno()), "--life-fd", str(life)),
                        *("--runtime-dir", str(runtime.path)),
                    ],
                    pass_fds=inherited,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            self._control.close()
            os.close(self._life)
            raise UnreachableError(
                f"the members' process cannot be started with {sys.executable}: {error.strerror}",
                remedy="check the installation and the limits on processes (ulimit -u)",
            ) from error
        finally:
            theirs.close()
            os.close(life)
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """Its process id, which is its session's too."""
        return self._process.pid

    def attach(self, on_event: Callable[[ZygoteEvent], None], on_end: Callable[[str], None]) -> None:
        """Tell of its events from now on; `on_end` once, with the cause, when it ends unasked."""
        self._reading = asyncio.create_task(self._read(on_event, on_end), name="zygote")

    def spawn(self, orders: list[SpawnOrder]) -> None:
        """Order members; answers come as events. Orders to a zygote that has ended are lost with it: `on_end` tells."""
        lines = b"".join(msgspec.json.encode(_Order(order)) + b"\n" for order in orders)
        if self._writer is not None:
            self._writer.write(lines)
            return
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._control.sendall(lines)

    async def close(self, seconds: float) -> list[int]:
        """End it and all that it forked, within about so many seconds.

        Returns the processes that had to be killed, because closing the life pipe was not enough.
        """
        if self._life >= 0:
            os.close(self._life)
            self._life = -1
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        if self._writer is not None:
            self._writer.close()
        self._control.close()
        ended = await self._has_ended(seconds)
        killed = await kill_session(self.pid, own_child=None if ended else self._process)
        self._process.wait()
        return killed

    def last_words(self) -> str:
        """The end of what it and its members wrote to stderr, for messages."""
        try:
            return self._log.read_bytes()[-2000:].decode("utf-8", "replace").strip()
        except OSError:
            return ""

    async def _has_ended(self, seconds: float) -> bool:
        deadline = asyncio.get_running_loop().time() + seconds
        while self._process.poll() is None:
            if asyncio.get_running_loop().time() > deadline:
                return False
            await asyncio.sleep(0.002)
        return True

    async def _read(self, on_event: Callable[[ZygoteEvent], None], on_end: Callable[[str], None]) -> None:
        reader, self._writer = await asyncio.open_connection(sock=self._control, limit=MAX_LINE_BYTES)
        try:
            while line := await reader.readline():
                on_event(msgspec.json.decode(line, type=ZygoteEvent))
            cause = "it ended"
        except (OSError, ValueError) as error:
            cause = f"its control line broke: {error}"
        on_end(f"{cause}; {self.last_words() or 'it left no message'}")


async def kill_session(leader: int, own_child: subprocess.Popen[bytes] | None = None) -> list[int]:
    """SIGKILL whatever still runs in a session, until nothing does; returns the processes that were killed.

    The kernel gives a process id that names a living session to nobody else, so this cannot hit a stranger.
    """
    killed: list[int] = []
    while found := session_processes(leader):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed += [pid for pid in found if pid not in killed]
        if own_child is not None:
            own_child.poll()
        await asyncio.sleep(0.005)
    return killed


def session_processes(leader: int, proc: Path = Path("/proc")) -> list[int]:
    """Living processes of the session, read from /proc/<pid>/stat (proc(5)); zombies are not counted."""
    found = []
    for entry in os.listdir(proc):
        if not entry.isdecimal():
            continue
        try:
            stat = (proc / entry / "stat").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The name, in parentheses, may hold anything; what follows it has fixed fields: state ppid pgrp session …
        state, _, _, session = stat[stat.rindex(b")") + 2 :].split(maxsplit=4)[:4]
        if int(session) == leader and state not in (b"Z", b"X"):
            found.append(int(entry))
    return found
