"""Starts the processes of pods: `python -m tests.support.cluster.zygote CONTROL_FD`.

A real member needs a second of a core for its imports, and tens of megabytes. This process imports the runner once; for
`python -m tasklet_runner ...` it forks and calls the runner's own `main` with the same arguments, so that members share
their memory and start in milliseconds. Any other command is executed as usual.

One JSON object a line: `{"run": id, "command": [...], "environment": {...}, "log": path}` and `{"signal": id,
"number": n}`; replies are `{"id": id, "pid": n}` and, at the end, `{"id": id, "status": n}` (negative: the signal).
Each process leads a session of its own, and what it forked dies with it, as in a container.
"""

import ctypes
import gc
import os
import selectors
import signal
import socket
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

import tasklet_runner.member.cpu  # noqa: F401 - what a member loads only when it is one, so that all share it
from tasklet_runner.__main__ import main as run_tasklet_runner
from tasklet_runner.member.sealing import warm_up

_PR_SET_PDEATHSIG = 1
_RUNNER = (sys.executable, "-m", "tasklet_runner")
_TO_ALL = (signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT)
"""A container's runtime sends these to each process in it; any other only to the first."""

_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class _Child:
    number: int
    pid: int


class _Zygote:
    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._children: dict[int, _Child] = {}
        self._buffer = b""
        self._open = True

    def serve(self) -> None:
        """Until the kubelet has closed the line and the last process is reaped."""
        while self._open or self._children:
            for key, _ in self._selector.select():
                if key.fd == self._control.fileno():
                    self._hear()
                else:
                    self._reap(key.fd)

    def _hear(self) -> None:
        data = self._control.recv(1 << 16)
        if not data:
            self._open = False
            self._selector.unregister(self._control)
            for child in self._children.values():
                os.killpg(child.pid, signal.SIGKILL)
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._obey(msgspec.json.decode(line))

    def _obey(self, order: dict[str, Any]) -> None:
        if "run" in order:
            self._run(order)
            return
        for child in self._children.values():
            if child.number == order["signal"]:
                deliver = os.killpg if order["number"] in _TO_ALL else os.kill
                deliver(child.pid, order["number"])

    def _run(self, order: dict[str, Any]) -> None:
        pid = os.fork()
        if pid == 0:
            self._become(order)
        # Also here, so that the session exists before anything is sent to it.
        with suppress(PermissionError, ProcessLookupError):
            os.setpgid(pid, pid)
        descriptor = os.pidfd_open(pid)
        self._children[descriptor] = _Child(order["run"], pid)
        self._selector.register(descriptor, selectors.EVENT_READ)
        self._say({"id": order["run"], "pid": pid})

    def _reap(self, descriptor: int) -> None:
        child = self._children.pop(descriptor)
        self._selector.unregister(descriptor)
        os.close(descriptor)
        # Before it is reaped, while the number of its session cannot be anybody else's.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child.pid, 0)[1])
        self._say({"id": child.number, "status": status})

    def _say(self, reply: dict[str, int]) -> None:
        with suppress(OSError):  # the kubelet is gone, and reads nothing any more
            self._control.sendall(msgspec.json.encode(reply) + b"\n")

    def _become(self, order: dict[str, Any]) -> NoReturn:
        status = 1
        try:
            self._let_go(order["log"])
            status = _run_here(tuple(order["command"]), order["environment"])
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        except FileNotFoundError:
            status = 127
        except Exception:  # noqa: BLE001 - the edge of a process: its last words are all that is left to do
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)

    def _let_go(self, log: str) -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        os.setpgid(0, 0)
        self._selector.close()
        self._control.close()
        for descriptor in self._children:
            os.close(descriptor)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(output, 1)
        os.dup2(output, 2)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _run_here(command: tuple[str, ...], environment: dict[str, str]) -> int:
    os.environ.update(environment)
    if command[:3] != _RUNNER:
        os.execvp(command[0], command)  # noqa: S606 - an argument vector, no shell
    sys.argv = list(command[2:])
    return run_tasklet_runner(command[3:])


def main() -> None:
    """Serve the socket whose descriptor is the argument."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    control = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(control.fileno(), False)
    # Ctrl-C in a terminal is the tests' to answer.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warm_up()
    gc.collect()
    gc.freeze()
    _Zygote(control).serve()


if __name__ == "__main__":
    main()
