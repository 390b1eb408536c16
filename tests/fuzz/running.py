"""Gives a decoder inputs, one after the other, and keeps those that it does not stand."""

import hashlib
import itertools
import random
import re
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.bounds import TooSlowError, bounded_memory, bounded_time
from tests.fuzz.decoder import Decoder, Try
from tests.fuzz.guidance import Lines
from tests.fuzz.mutators import mutated

FOUND = Path(__file__).parent / "found"
"""Inputs that once found something, by decoder: tried again in every run of the unit tier."""

MOST_SEEDS = 2000
MOST_FAULTS = 5
"""After so many a decoder has its answer."""


@dataclass
class Outcome:
    """What came of a decoder's inputs. `faults`: each in words, `places`: the lines that raised them; `kept`: an
    input for each of these."""

    name: str
    tries: int = 0
    accepted: int = 0
    refused: int = 0
    faults: list[str] = field(default_factory=list)
    places: set[tuple[str, int]] = field(default_factory=set)
    kept: list[Path] = field(default_factory=list)

    def __str__(self) -> str:
        counts = (
            f"{self.tries:,} tries, {self.accepted:,} accepted, {self.refused:,} refused, {len(self.faults)} faults"
        )
        return "\n  ".join([f"{self.name}: {counts}", *self.faults, *map(str, self.kept)])


@dataclass(frozen=True)
class Manner:
    """`guided`: what reaches new lines becomes a seed, which is slower and pays in minutes; `keeps`: writes down what
    finds something.
    """

    guided: bool = False
    keeps: bool = False


QUICK = Manner()


def kept_inputs(decoder: Decoder) -> list[bytes]:
    """What earlier runs have found."""
    return [path.read_bytes() for path in sorted(_place(decoder).glob("*"))]


def replay(decoder: Decoder, root: Path) -> Outcome:
    """Every seed, which must be accepted, and everything that was found before."""
    outcome, seeds = Outcome(decoder.name), decoder.seeds()
    with bounded_memory(), decoder.ready(root) as judge:
        for data in seeds:
            _try(outcome, judge, data)
        if decoder.sound and outcome.accepted < len(seeds):
            outcome.faults.append(f"{len(seeds) - outcome.accepted} of {len(seeds)} seeds were refused")
        for data in kept_inputs(decoder):
            _try(outcome, judge, data)
    return outcome


def fuzz(decoder: Decoder, root: Path, seed: int, rounds: Iterator[object], how: Manner = QUICK) -> Outcome:
    """An input for each round."""
    chance, outcome = random.Random(f"{decoder.name} {seed}"), Outcome(decoder.name)
    seeds = [*decoder.seeds(), *kept_inputs(decoder)]
    lines = Lines(decoder.modules)
    with bounded_memory(), decoder.ready(root) as judge:
        for _ in rounds:
            data = mutated(chance, chance.choice(seeds), seeds)
            before = lines.count
            with lines.watched() if how.guided and decoder.modules else nullcontext():
                fault = _try(outcome, judge, data)
            if fault is not None and len(outcome.places) > len(outcome.kept) and how.keeps:
                outcome.kept.append(_keep(decoder, data))
            if len(outcome.faults) >= MOST_FAULTS:
                break
            if fault is None and lines.count > before and len(seeds) < MOST_SEEDS:
                seeds.append(data)
    return outcome


def times(count: int) -> Iterator[object]:
    """So many rounds."""
    return iter(range(count))


def seconds(count: float, clock: Callable[[], float] = time.monotonic) -> Iterator[object]:
    """Rounds for so long."""
    until = clock() + count
    return itertools.takewhile(lambda _: clock() < until, itertools.count())


def _try(outcome: Outcome, judge: Try, data: bytes) -> str | None:
    outcome.tries += 1
    try:
        with bounded_time():
            accepted = judge(data)
    except (Exception, TooSlowError) as error:  # noqa: BLE001 - what a decoder must not raise is what is looked for
        last = traceback.extract_tb(error.__traceback__)[-1]
        outcome.places.add((last.filename, last.lineno or 0))
        outcome.faults.append(f"{type(error).__name__}: {error!s:.300} ({last.filename}:{last.lineno})")
        return outcome.faults[-1]
    outcome.accepted += accepted
    outcome.refused += not accepted
    return None


def _keep(decoder: Decoder, data: bytes) -> Path:
    path = _place(decoder) / hashlib.sha256(data).hexdigest()[:16]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _place(decoder: Decoder) -> Path:
    return FOUND / re.sub(r"[^a-z0-9]+", "-", decoder.name.lower())
