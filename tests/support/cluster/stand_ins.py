"""Thousands of stand-in members in one process, behind a kubelet that cannot be told from one with real members.

`python -m tests.support.cluster.stand_ins --kubeconfig FILE --records FILE` runs until its stdin ends. It says `ready`
when its nodes are registered, and obeys a word of chaos a line: `kill POD`, `evict POD`, `evict-by-node POD`,
`stop-node NODE [left|killed]`, `start-node NODE`, `delay SECONDS`, `lose VERB COUNT` (so many answers to binds, say,
break off before they are sent, though they were obeyed); each is answered by `done`.
"""

import argparse
import asyncio
import ctypes
import gc
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from aiohttp import web

from tasklet_runner import __main__ as command_line
from tasklet_runner.member.settings import MemberSettings
from tasklet_runner.wire.member import Role
from tests.support.cluster.kubelet import Kubelet, KubeletSettings
from tests.support.cluster.pretending import doorless_server
from tests.support.cluster.running import Launch, ProcessRuntime, Running
from tests.support.cluster.stand_in import House, StandIn

RESET_SECONDS = 0.005
COLLECT_SECONDS = 5.0

_PR_SET_PDEATHSIG = 1
_RUNNER = ("-m", "tasklet_runner", "member")
_LIBC = ctypes.CDLL(None, use_errno=True)


class StandInRuntime:
    """Starts a stand-in for each pod that would run a member. `records` gets their records.

    With `pretends` they say that they have done what they are asked for, and stores are real: processes.
    """

    def __init__(self, records: TextIO, reset_seconds: float = RESET_SECONDS, *, pretends: bool = False) -> None:
        self.terse = not pretends
        self._real = ProcessRuntime() if pretends else None
        self._house = House(doorless_server(self._serve), records, reset_seconds, pretends=pretends)
        self.losses = self._house.losses
        self._members: dict[str, StandIn] = {}

    async def open(self) -> None:
        """Stand-ins need nothing."""
        if self._real is not None:
            await self._real.open()

    def start(self, launch: Launch) -> Running:
        """A member for the command of one; of any other command only its status, 0 or what `exit N` says."""
        command = launch.command.command
        if command[1:4] != _RUNNER:
            return Ended(int(command[-1].removeprefix("exit ")) if command[-1].startswith("exit ") else 0)
        settings = _settings(command[3:])
        if self._real is not None and settings.role is not Role.CPU:
            return self._real.start(launch)
        member = StandIn(settings, self._house)
        self._members[launch.address] = member
        member.ended.add_done_callback(lambda _: self._members.pop(launch.address))
        return member

    async def close(self) -> None:
        """End all, as SIGKILL would."""
        members = list(self._members.values())
        for member in members:
            member.send(signal.SIGKILL)
        await asyncio.gather(*(member.finished() for member in members))
        await self._house.server.shutdown(1.0)
        if self._real is not None:
            await self._real.close()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        return await self._members[request.transport.get_extra_info("sockname")[0]].serve(request)


class Ended:
    """A container that has ended already."""

    pid = 0

    def __init__(self, status: int) -> None:
        self.ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.ended.set_result(status)

    def send(self, number: int) -> None:
        """Nobody is there to hear it."""

    async def until_ready(self, probe: object) -> None:
        """Never."""
        await asyncio.Event().wait()


def _settings(words: Sequence[str]) -> MemberSettings:
    """What the runner's own command line makes of the words, so that a stand-in takes what a real member takes."""
    return command_line._settings(command_line._parser().parse_args(command_line._joined(words)))


async def _run(options: argparse.Namespace) -> None:
    settings = KubeletSettings(tuple(options.nodes.split(",")), options.cpu, options.namespace)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    with options.records.open("a", buffering=1, encoding="utf-8") as records:
        runtime = StandInRuntime(records, options.reset_milliseconds / 1000, pretends=options.pretends == "yes")
        async with Kubelet(options.kubeconfig, runtime, settings) as kubelet:
            collecting = asyncio.create_task(_collect())
            print("ready", flush=True)
            while line := await reader.readline():
                word, name, *more = line.decode().split()
                if word == "lose":
                    runtime.losses[name] = int(*more)
                else:
                    await _obey(kubelet, word, name, *more)
                print("done", flush=True)
            collecting.cancel()


async def _obey(kubelet: Kubelet, word: str, name: str, *more: str) -> None:
    if word == "kill":
        kubelet.kill(name)
    elif word == "evict":
        await kubelet.evict(name)
    elif word == "evict-by-node":
        kubelet.evict_by_node(name)
    elif word == "stop-node":
        await kubelet.stop_node(name, "killed" if "killed" in more else "left")
    elif word == "start-node":
        await kubelet.start_node(name)
    elif word == "delay":
        kubelet.delay_start(float(name))
    else:
        raise ValueError(f"{word} is no word of chaos: see the module's own words")


async def _collect() -> None:
    # A full collection over thousands of members would stop them all for a tenth of a second, again and again; real
    # members are processes of their own. So only the young are looked through.
    gc.disable()
    while True:
        await asyncio.sleep(COLLECT_SECONDS)
        gc.collect(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until stdin ends, or the process that started it."""
    parser = argparse.ArgumentParser(prog="stand-ins", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--records", type=Path, required=True, help="JSON lines are appended to it; see records.py")
    parser.add_argument("--nodes", default="node-a", help="names, with commas between")
    parser.add_argument("--cpu", default="100000", help="what each node can give to pods")
    parser.add_argument("--namespace", default="", help="serve this one alone")
    parser.add_argument("--reset-milliseconds", type=float, default=1000 * RESET_SECONDS)
    parser.add_argument("--pretends", choices=("yes", "no"), default="no", help="they say that they work")
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_run(parser.parse_args(arguments)))


if __name__ == "__main__":
    main()
