"""Schedules by the hundred, each played, judged and counted."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from tests.histories.arena import arena
from tests.histories.checker import judge
from tests.histories.history import WAITS, Entry, Operation, dump
from tests.histories.playing import Player
from tests.histories.schedule import Schedule, draw
from tests.histories.verdicts import Rule, Violation
from tests.soak.tally import Findings, Tally, wrong

ARENAS = 3
"""Schedules mostly wait: so many are played at the same time."""

SCHEDULES_PER_ARENA = 100

_LOSSES = frozenset({Rule.READABLE, Rule.ALIVE})
_WRONGS = frozenset({Rule.IN_TIME})


@dataclass
class Counted:
    """What really happened: `ends` counts operations by their outcomes."""

    ends: Counter[tuple[Operation, str]] = field(default_factory=Counter)

    def add(self, history: Sequence[Entry]) -> None:
        """One more history."""
        self.ends.update((entry.operation, entry.outcome) for entry in history)

    def ok(self, *operations: Operation) -> int:
        """So many of these were done."""
        return sum(self.ends[operation, "ok"] for operation in operations)

    def refused(self) -> int:
        """So many operations were refused by a word of the member."""
        return sum(count for (_, outcome), count in self.ends.items() if outcome not in ("ok", "unknown"))

    def __str__(self) -> str:
        rows = sorted(self.ends.items(), key=lambda one: (one[0][0], -one[1]))
        return ", ".join(f"{operation} {outcome} {count:,}" for (operation, outcome), count in rows)


@dataclass
class Campaign:
    """`module`: the members' program; `kept`: where histories with findings are kept; `broken`: rules, so far."""

    root: Path
    tally: Tally
    module: str = "tasklet_runner"
    kept: Path = Path("build") / "histories"
    counted: Counted = field(default_factory=Counted)
    broken: set[Rule] = field(default_factory=set)

    def run(self, seeds: Sequence[int]) -> Counted:
        """Play and judge the schedules of these seeds."""
        asyncio.run(self._run(list(seeds)))
        return self.counted

    def run_by_hand(self, schedules: Iterable[Schedule]) -> Counted:
        """The same of schedules that were not drawn, on one arena; each is asked for when it is its turn."""
        asyncio.run(self._play_some(self.root, iter(schedules)))
        return self.counted

    async def _run(self, seeds: list[int]) -> None:
        waiting, arenas = iter(seeds), min(ARENAS, len(seeds))
        turns = -(-len(seeds) // (arenas * SCHEDULES_PER_ARENA))
        await asyncio.gather(*(self._play_on(number, turns + 1, waiting) for number in range(arenas)))

    async def _play_on(self, number: int, turns: int, waiting: Iterator[int]) -> None:
        """A new arena every so often: nothing that one schedule leaves behind is there for ever."""
        for turn in range(turns):
            share = list(islice(waiting, 1))
            if not share:
                return
            place = self.root / f"arena-{number}-{turn}"
            place.mkdir()
            await self._play_some(place, map(draw, chain(share, islice(waiting, SCHEDULES_PER_ARENA - 1))))

    async def _play_some(self, place: Path, schedules: Iterator[Schedule]) -> None:
        async with arena(place, self.module) as made:
            player = Player(made)
            for schedule in schedules:
                history = await player.play(schedule)
                self.counted.add(history)
                self._judge(schedule.seed, history, made.complaint())

    def _judge(self, seed: int, history: Sequence[Entry], complaint: str) -> None:
        violations = judge(history)
        self.broken |= {violation.rule for violation in violations}
        faults = sum(entry.operation in WAITS or entry.who == "replayer" for entry in history)
        where = f"seed {seed} (again: python -m tests.histories {seed})"
        if violations:
            self.kept.mkdir(parents=True, exist_ok=True)
            dump(history, self.kept / f"{seed}.jsonl")
            where += f", its history is {self.kept / f'{seed}.jsonl'}"
        self.tally.judge(where, _findings(violations) + wrong(filter(None, (complaint,))), faults=faults)


def _findings(violations: Sequence[Violation]) -> Findings:
    losses = tuple(str(one) for one in violations if one.rule in _LOSSES)
    wrongs = tuple(str(one) for one in violations if one.rule in _WRONGS)
    doubles = tuple(str(one) for one in violations if one.rule not in _LOSSES | _WRONGS)
    return Findings(losses, doubles, wrongs)
