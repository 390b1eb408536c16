"""What runs a pod: processes of this machine, or whatever else implements `Runtime`."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import ssl
import subprocess
import sys
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import msgspec

from tests.support.cluster.pods import ContainerCommand

ROOT = Path(__file__).parents[3]
PROBE_TIMEOUT_SECONDS = 2.0

_ANYBODY = ssl.create_default_context()
_ANYBODY.check_hostname = False
_ANYBODY.verify_mode = ssl.CERT_NONE

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Launch:
    """One container to be started. `log` takes its stdout and stderr."""

    pod: str
    address: str
    command: ContainerCommand
    log: Path


@dataclass(frozen=True)
class Probe:
    """A readinessProbe: GET `path`, or with an empty one a connection alone. Seconds between two tries. `tls`: HTTPS,
    of which kubelets ask no authority.
    """

    address: str
    port: int
    path: str = ""
    period_seconds: float = 10.0
    tls: bool = False

    async def passes(self) -> bool:
        """One try."""
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                reader, writer = await asyncio.open_connection(
                    self.address, self.port, ssl=_ANYBODY if self.tls else None
                )
                try:
                    return not self.path or await self._get(reader, writer)
                finally:
                    writer.close()
                    with contextlib.suppress(OSError):
                        await writer.wait_closed()
        except (OSError, TimeoutError):
            return False

    async def _get(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(f"GET {self.path} HTTP/1.1\r\nHost: {self.address}\r\nConnection: close\r\n\r\n".encode("ascii"))
        status = await reader.readline()
        return status[9:10] in (b"2", b"3")


class Running(Protocol):
    """A container that was started. `ended` gets its exit status; negative: the signal."""

    pid: int
    ended: "asyncio.Future[int]"

    def send(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        ...

    async def until_ready(self, probe: Probe | None) -> None:
        """Returns when the container is ready for the first time."""
        ...


class Runtime(Protocol):
    """Starts containers. `terse`: the kubelet reports `Running` once, when it is ready, and no end before a delete."""

    terse: bool

    def start(self, launch: Launch) -> Running:
        """Start one; returns at once. A command that cannot be found ends with status 127."""
        ...

    async def open(self) -> None:
        """Called once, in the kubelet's loop, before the first start."""
        ...

    async def close(self) -> None:
        """Kill all that still runs, and return when it is gone."""
        ...


class ProcessRuntime:
    """Containers are processes of this machine, forked by the zygote."""

    terse = False

    def __init__(self) -> None:
        self._numbers = count(1)
        self._running: dict[int, _Process] = {}
        self._process: subprocess.Popen[bytes]
        self._writer: asyncio.StreamWriter
        self._reading: asyncio.Task[None]

    async def open(self) -> None:
        """Start the zygote."""
        ours, theirs = socket.socketpair()
        environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'operator'}"}
        self._process = subprocess.Popen(  # noqa: ASYNC220 - it returns when the process exists
            [sys.executable, "-m", "tests.support.cluster.zygote", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            cwd=ROOT,
            env=environment,
            preexec_fn=_die_with_kubelet,
        )
        theirs.close()
        reader, self._writer = await asyncio.open_connection(sock=ours)
        self._reading = asyncio.create_task(self._read(reader))

    def start(self, launch: Launch) -> Running:
        """See `Runtime.start`."""
        process = _Process(next(self._numbers), self)
        self._running[process.number] = process
        order = {
            "run": process.number,
            "command": launch.command.command,
            "environment": launch.command.environment,
            "log": str(launch.log),
        }
        self.order(order)
        return process

    def order(self, order: dict[str, Any]) -> None:
        """Send one line to the zygote; lines are obeyed in order."""
        self._writer.write(msgspec.json.encode(order) + b"\n")

    async def close(self) -> None:
        """See `Runtime.close`."""
        self._writer.close()
        await asyncio.gather(self._reading, return_exceptions=True)
        await asyncio.to_thread(self._process.wait)

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            reply = msgspec.json.decode(line)
            if "pid" in reply:
                self._running[reply["id"]].pid = reply["pid"]
            else:
                self._running.pop(reply["id"]).ended.set_result(reply["status"])


class _Process:
    def __init__(self, number: int, runtime: ProcessRuntime) -> None:
        self.number = number
        self.pid = 0
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._runtime = runtime

    def send(self, number: int) -> None:
        if not self.ended.done():
            self._runtime.order({"signal": self.number, "number": number})

    async def until_ready(self, probe: Probe | None) -> None:
        pause = 0.01
        while probe is not None and not await probe.passes():
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.5)


def _die_with_kubelet() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
