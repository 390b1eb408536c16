"""Runs a scenario again and again with another fault each time, and has what is left judged."""

import errno
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.soak.tally import Findings, Tally, wrong
from tests.support.faults.control import CHANGES, FOREVER, NEEDS_SPACE, Action, Control, Fault, Kind
from tests.support.faults.journal import Cut, Recording, read_journal, scan
from tests.support.faults.nursery import DONE, REFUSED, Ended, Nursery

Drawn = TypeVar("Drawn", Fault, Cut)

Judge = Callable[[Path, Sequence[str]], Findings]
"""Looks at a directory after the fault, with what was said before it. It may change the directory."""


@dataclass(frozen=True)
class Scenario:
    """`target` ("module:function", gets `directory`) does something in an empty directory and says what is kept.

    `after_kill` judges what a kill left, `after_cut` what a power cut did (which may take what was not yet synced).
    """

    target: str
    after_kill: Judge
    after_cut: Judge


@dataclass(frozen=True)
class Effort:
    """How many of the possible tries are made, drawn by the seed; None: all."""

    seed: int = 0
    bound: int | None = None

    def drawn(self, possible: Sequence[Drawn]) -> Sequence[Drawn]:
        """Those that are tried, in their order."""
        if self.bound is None or len(possible) <= self.bound:
            return possible
        chosen = random.Random(self.seed).sample(range(len(possible)), self.bound)
        return [possible[number] for number in sorted(chosen)]


class Stage:
    """Where a scenario is run: a directory of this test alone."""

    def __init__(self, root: Path, scenario: Scenario) -> None:
        self._root = root / "stage"
        self._root.mkdir()
        self._scenario = scenario
        self._control = Control(self._root / "control")
        self._directory = self._root / "tried"

    def __enter__(self) -> "Stage":
        self._nursery = Nursery(self._control, self._scenario.target).__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._nursery.__exit__(None, None, None)
        self._control.close()
        shutil.rmtree(self._root)

    def calls(self, kinds: Sequence[Kind] = CHANGES) -> list[Kind]:
        """What the scenario does undisturbed, call by call."""
        with self._emptied() as directory:
            self._control.watch(directory, kinds)
            ended = self._nursery.run(directory=str(directory))
            assert not ended.code, ended.complaint
            assert not (found := self._scenario.after_kill(directory, ended.said)), found
            return [call.kind for call in self._control.trace()]

    def try_fault(self, tally: Tally, fault: Fault) -> None:
        """One run with a fault, judged."""
        with self._emptied() as directory:
            self._control.arm(directory, fault)
            ended = self._nursery.run(directory=str(directory))
            self._control.disarm()
            findings = self._ending(fault, ended) + self._scenario.after_kill(directory, ended.said)
            calls = self._control.trace()
            at = f" ({calls[fault.at - 1].kind.name} {calls[fault.at - 1].path})" if len(calls) >= fault.at else ""
            tally.judge(f"{fault}{at}", findings, faults=min(self._control.met, 1))

    def _ending(self, fault: Fault, ended: Ended) -> Findings:
        deadly = fault.action in {Action.KILL_BEFORE, Action.KILL_AFTER, Action.TEAR} and self._control.met > 0
        if deadly and not ended.killed:
            return wrong([f"not killed but ended with {ended.code}: {ended.complaint[-300:]}"])
        if not deadly and ended.code not in {DONE, REFUSED}:
            return wrong([f"ended with {ended.code} and no typed error: {ended.complaint[-600:]}"])
        return Findings()

    def record(self) -> Recording:
        """One undisturbed run, every change of which is known."""
        journal = self._root / "journal"
        with self._emptied() as directory:
            start = scan(directory)
            with self._control.recording(directory, journal):
                ended = self._nursery.run(directory=str(directory))
            assert not ended.code, ended.complaint
            return Recording(directory, start, read_journal(journal))

    def try_cut(self, tally: Tally, recording: Recording, cut: Cut) -> None:
        """The power goes, and what is on the disk then is judged."""
        recording.restore(cut, self._directory)
        try:
            findings = self._scenario.after_cut(self._directory, recording.said(cut))
        finally:
            shutil.rmtree(self._directory)
        entry = recording.entries[cut.after - 1]
        tally.judge(f"{cut}, after {entry.operation} of {entry.path.rpartition('/')[2]}", findings)

    @contextmanager
    def _emptied(self) -> Iterator[Path]:
        self._directory.mkdir()
        try:
            yield self._directory
        finally:
            shutil.rmtree(self._directory)


def kills(root: Path, scenario: Scenario, effort: Effort, tally: Tally) -> None:
    """SIGKILL before every call that changes something, after the last one, and in the midst of every write."""
    with Stage(root, scenario) as stage:
        calls = stage.calls()
        for fault in effort.drawn(list(_kills(calls))):
            stage.try_fault(tally, fault)


def failures(root: Path, scenario: Scenario, effort: Effort, tally: Tally) -> None:
    """Every call fails once, reads too; from every call on the disk is full or broken; every write is short once."""
    with Stage(root, scenario) as stage:
        reads = len(stage.calls((Kind.READ,)))
        calls = stage.calls()
        for fault in effort.drawn(
            [*_failures(calls), *(Fault(Action.FAIL, at + 1, (Kind.READ,)) for at in range(reads))]
        ):
            stage.try_fault(tally, fault)


def cuts(root: Path, scenario: Scenario, effort: Effort, tally: Tally, seeds: int = 3) -> None:
    """The power goes after every change: all that was not synced is lost, or some of it by `seeds` draws."""
    with Stage(root, scenario) as stage:
        recording = stage.record()
        possible = [
            Cut(after, seed)
            for after in range(1, len(recording.entries) + 1)
            for seed in (None, *range(effort.seed, effort.seed + seeds))
        ]
        for cut in effort.drawn(possible):
            stage.try_cut(tally, recording, cut)


def _kills(calls: Sequence[Kind]) -> Iterator[Fault]:
    for number, kind in enumerate(calls, 1):
        yield Fault(Action.KILL_BEFORE, number)
        if kind is Kind.WRITE:
            yield Fault(Action.TEAR, number)
    yield Fault(Action.KILL_AFTER, len(calls))


def _failures(calls: Sequence[Kind]) -> Iterator[Fault]:
    spacious = sum(kind in NEEDS_SPACE for kind in calls)
    for number in range(1, spacious + 1):
        for error in (errno.ENOSPC, errno.EDQUOT):
            yield Fault(Action.FAIL, number, NEEDS_SPACE, error=error)
        yield Fault(Action.FAIL, number, NEEDS_SPACE, span=FOREVER, error=errno.ENOSPC)
    for number in range(1, len(calls) + 1):
        yield Fault(Action.FAIL, number)
        yield Fault(Action.FAIL, number, span=FOREVER)
    for number in range(1, calls.count(Kind.WRITE) + 1):
        yield Fault(Action.SHORTEN, number, (Kind.WRITE,))
