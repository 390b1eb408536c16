"""Kubelets beside a test that is not a coroutine: one in a thread of its own, and stand-ins in their own process."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.support.cluster.kubelet import Kubelet, KubeletSettings
from tests.support.cluster.records import Record, read_records
from tests.support.cluster.running import ROOT, Runtime

PATIENCE_SECONDS = 60
SETTLE_SECONDS = 0.1

Result = TypeVar("Result")


@dataclass(frozen=True)
class KubeletBeside:
    """A kubelet whose event loop runs in another thread."""

    kubelet: Kubelet
    loop: asyncio.AbstractEventLoop

    def do(self, act: Callable[[Kubelet], Result]) -> Result:
        """Call the kubelet in its own thread: `beside.do(lambda kubelet: kubelet.kill("a"))`; what it returns."""

        async def call() -> Result:
            return act(self.kubelet)

        return self._called(call())

    def run(self, act: Callable[[Kubelet], Coroutine[Any, Any, Result]]) -> Result:
        """The same for what must be awaited: `beside.run(lambda kubelet: kubelet.evict("a"))`."""
        return self._called(act(self.kubelet))

    def _called(self, call: Coroutine[Any, Any, Result]) -> Result:
        return asyncio.run_coroutine_threadsafe(call, self.loop).result(PATIENCE_SECONDS)


@contextmanager
def kubelet_beside(
    kubeconfig: Path, runtime: Runtime | None = None, settings: KubeletSettings | None = None
) -> Iterator[KubeletBeside]:
    """A kubelet for the time of a with block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="kubelet")
    thread.start()
    try:
        kubelet = Kubelet(kubeconfig, runtime, settings or KubeletSettings())
        beside = KubeletBeside(kubelet, loop)
        beside.run(Kubelet.__aenter__)
        try:
            yield beside
        finally:
            beside.run(lambda entered: entered.__aexit__(None, None, None))
    finally:
        # Connections whose requests were cancelled close in the loop's next turns.
        asyncio.run_coroutine_threadsafe(asyncio.sleep(SETTLE_SECONDS), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class StandIns:
    """A process of stand-ins: `say` words of chaos to it, and read what its members went through."""

    def __init__(self, process: "subprocess.Popen[str]", records: Path) -> None:
        self.process = process
        self._records = records

    def say(self, *words: object) -> None:
        """One line of chaos, see `stand_ins`; returns when it is done. Raises AssertionError when it cannot be done."""
        assert self.process.stdin is not None
        print(*words, file=self.process.stdin, flush=True)
        self.expect("done")

    def expect(self, word: str) -> None:
        """Wait for a line from it."""
        assert self.process.stdout is not None
        said = self.process.stdout.readline().strip()
        assert said == word, f"the stand-ins said {said!r} and not {word!r}"

    def records(self) -> list[Record]:
        """Everything up to now."""
        return read_records(self._records)


@contextmanager
def stand_ins_beside(kubeconfig: Path, records: Path, **options: str | float) -> Iterator[StandIns]:
    """Stand-ins for the time of a with block. `options` are those of the command line: `nodes="a,b"`."""
    words = [word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.support.cluster.stand_ins"),
            *("--kubeconfig", str(kubeconfig), "--records", str(records), *words),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        text=True,
    )
    try:
        stand_ins = StandIns(process, records)
        stand_ins.expect("ready")
        yield stand_ins
    finally:
        process.communicate(timeout=PATIENCE_SECONDS)
