"""Every decoder under bytes that nobody wrote, guided by the lines that they reach; see `tests.fuzz`."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.fuzz.decoder import Decoder
from tests.fuzz.decoders import DECODERS
from tests.fuzz.running import Manner, fuzz, seconds
from tests.soak.tally import Tally

SHORT_SECONDS = 5.0
LONG_SECONDS = 600.0
"""For each decoder; FUZZ_SECONDS in the environment says otherwise."""

_PREFIX = "fuzz: "


def is_fuzzing(name: str) -> bool:
    """Whether the campaign of this name gives inputs to a decoder, and does nothing else."""
    return name.startswith(_PREFIX)


def campaigns(seed: int, *, short: bool) -> Iterator[tuple[str, Callable[[Path, Tally], None]]]:
    """One for each decoder."""
    span = float(os.environ.get("FUZZ_SECONDS", SHORT_SECONDS if short else LONG_SECONDS))
    for decoder in DECODERS:
        yield f"{_PREFIX}{decoder.name}", _campaign(decoder, seed, span)


def _campaign(decoder: Decoder, seed: int, span: float) -> Callable[[Path, Tally], None]:
    def run(root: Path, tally: Tally) -> None:
        """What was refused counts as a fault that was made; what a decoder did not stand, as a wrong."""
        found = fuzz(decoder, root, seed, seconds(span), Manner(guided=True, keeps=True))
        tally.tries, tally.faults, tally.wrongs = found.tries, found.refused, len(found.faults)
        tally.words += [*found.faults, *(f"kept: {path}" for path in found.kept)]

    return run
