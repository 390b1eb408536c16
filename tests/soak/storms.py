"""Storms of connections at one real process, beside somebody polite: what each is told, and what the process pays."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tasklet_runner.wire.errors import LeaseGridError
from tests.soak.tally import Findings, Tally, wrong
from tests.support.storm import Raging, Storm, connections_at, descriptors_of, memory_of, raging

MEBIBYTE = 1024 * 1024
PAUSE_SECONDS = 0.02
LONGEST_SECONDS = 30.0
"""So long may one polite call take in the worst storm on a busy machine; the usual is some milliseconds."""

SETTLE_SECONDS = 60.0

Check = Callable[[Raging], list[str]]


@dataclass(frozen=True)
class Scene:
    """One storm. `check`: what is wrong with what it was told; `stays`: it is up at least so many polite calls long;
    `closes`: the server has to close all of its connections by itself.
    """

    name: str
    storm: Storm
    check: Check
    stays: int = 10
    closes: bool = False


@dataclass
class Figures:
    """What a campaign found out besides faults. Latencies in seconds of polite calls, `stormy` by scene; bytes of the
    server's memory.
    """

    quiet: list[float] = field(default_factory=list)
    stormy: dict[str, list[float]] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    memory_before: int = 0
    memory_most: int = 0

    @property
    def loaded(self) -> list[float]:
        """Of all scenes."""
        return [each for calls in self.stormy.values() for each in calls]

    def times(self, calls: list[float]) -> float:
        """How much longer than a quiet one the slowest hundredth of these takes at least: p99 by p99."""
        return percentile(calls, 0.99) / max(percentile(self.quiet, 0.99), 1e-9)

    def too_slow(self, most: float) -> Findings:
        """Whether polite calls took more than so many times as long under load."""
        times = self.times(self.loaded)
        return wrong([f"p99 under load is {times:.1f} times the quiet one"] if times > most else [])

    def __str__(self) -> str:
        lines = [
            f"quiet: {_latencies(self.quiet)}",
            f"under load: {_latencies(self.loaded)}, {self.times(self.loaded):.1f} times",
            *(f"  {scene}: {_latencies(calls)}, {self.times(calls):.1f} times" for scene, calls in self.stormy.items()),
            f"memory: {self.memory_before / MEBIBYTE:.0f} MiB before, {self.memory_most / MEBIBYTE:.0f} MiB at most",
            f"strangers heard: {dict(sorted(self.answers.items()))}",
        ]
        return "\n  ".join(lines)


def _latencies(calls: list[float]) -> str:
    p50, p99 = (percentile(calls, share) * 1000 for share in (0.5, 0.99))
    return f"{len(calls)} calls, p50 {p50:.1f} ms, p99 {p99:.1f} ms"


@dataclass
class Stage:
    """The process under storms: `polite` is one call of somebody who must be served, and raises unless he is."""

    pid: int
    port: int
    polite: Callable[[], Awaitable[None]]
    most_growth: int
    figures: Figures = field(default_factory=Figures)

    async def calm(self, calls: int) -> None:
        """How long polite calls take while nothing else happens, at the pace of those under load."""
        await self._call()  # the first one connects
        self.figures.memory_before = memory_of(self.pid)[0]
        for _ in range(calls):
            self.figures.quiet.append(await self._call())
            await asyncio.sleep(PAUSE_SECONDS)

    async def play(self, scene: Scene, tally: Tally) -> None:
        """One scene, judged. Polite calls are made from its first connection on."""
        descriptors, faults = descriptors_of(self.pid), list[str]()
        async with raging(scene.storm) as storm:
            polite = asyncio.create_task(self._stay(scene.name, scene.stays, lambda: storm.is_up))
            await storm.up()
            if scene.closes and not await storm.closed():
                faults.append("not everybody was cut off")
            faults += await polite
        faults += scene.check(storm)
        faults += await self._stay(scene.name, 1)
        faults += await self._aftermath(descriptors)
        self.figures.answers += Counter(storm.outcomes)
        self.figures.memory_most = memory_of(self.pid)[1]
        tally.judge(scene.name, self.remembered() + wrong(faults), faults=scene.storm.count)

    async def _stay(self, scene: str, calls: int, is_up: Callable[[], bool] = lambda: True) -> list[str]:
        """Until it is up, and so many calls longer."""
        times = self.figures.stormy.setdefault(scene, [])
        try:
            while calls:
                times.append(await self._call())
                calls -= is_up()
                await asyncio.sleep(PAUSE_SECONDS)
        except (TimeoutError, OSError, LeaseGridError) as error:
            return [f"a polite call failed: {type(error).__name__}: {error}"]
        return []

    async def _call(self) -> float:
        began = time.perf_counter()
        async with asyncio.timeout(LONGEST_SECONDS):
            await self.polite()
        return time.perf_counter() - began

    async def _aftermath(self, descriptors: int) -> list[str]:
        """The server is what it was: it has no more connections and descriptors."""
        mine = 3  # the polite one keeps connections
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while self._has_more(mine, descriptors):  # noqa: ASYNC110 - the kernel sets no event
                    await asyncio.sleep(0.1)
        found = list[str]()
        if (left := connections_at(self.port)) > mine:
            found.append(f"{left} connections are left")
        if (now := descriptors_of(self.pid)) > descriptors + mine:
            found.append(f"{now} descriptors, {descriptors} before")
        return found

    def _has_more(self, mine: int, descriptors: int) -> bool:
        return connections_at(self.port) > mine or descriptors_of(self.pid) > descriptors + mine

    def remembered(self) -> Findings:
        """Whether the process ever had more memory than it may."""
        grown = memory_of(self.pid)[1] - self.figures.memory_before
        return wrong([f"its memory grew by {grown / MEBIBYTE:.0f} MiB"] if grown > self.most_growth else [])


def percentile(seconds: list[float], share: float) -> float:
    """The smallest of them that so large a share does not exceed."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def told(*statuses: int | str) -> Check:
    """Everybody heard one of these (or lost the connection before), and each was heard by somebody. `silent`: a server
    may leave them without an answer as long as this storm lasts.
    """

    def check(storm: Raging) -> list[str]:
        wanted, heard = {str(status) for status in statuses}, {one.rpartition(" ")[0] for one in storm.outcomes}
        unanswered = storm.outcomes.get("silent open", 0) and "silent" not in wanted
        if heard - {"silent"} != wanted - {"silent"} or unanswered:
            return [f"heard {storm.outcomes}, and not just {sorted(wanted)}"]
        return []

    return check


def among(*statuses: int | str) -> Check:
    """Nobody heard anything else; each of these is only possible: who comes late finds the first ones gone."""

    def check(storm: Raging) -> list[str]:
        heard = {outcome.rpartition(" ")[0] for outcome in storm.outcomes}
        return [] if heard <= {str(status) for status in statuses} else [f"heard {storm.outcomes}"]

    return check


def closed(*statuses: int | str) -> Check:
    """Nobody heard anything else than one of these (or lost the connection), and none is left open."""

    def check(storm: Raging) -> list[str]:
        heard = {outcome.rpartition(" ")[0] for outcome in storm.outcomes} - {"silent"}
        faults = [f"heard {storm.outcomes}"] if not heard <= {str(status) for status in statuses} else []
        return faults + ([f"{storm.left_open()} were left open"] if storm.left_open() else [])

    return check


def fetched(path: str, *fields: str, body: str = "", method: str = "GET") -> str:
    """A request."""
    head = "".join(f"{field}\r\n" for field in fields)
    return f"{method} {path} HTTP/1.1\r\nHost: storm\r\n{head}\r\n{body}"
