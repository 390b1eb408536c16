"""What a campaign counts."""

from collections.abc import Iterable
from dataclasses import dataclass, field

SHOWN = 20
"""So many findings are kept in words."""


@dataclass(frozen=True)
class Findings:
    """What one try did wrong. Losses: something acknowledged is not there, or not what it was. Doubles: something
    happened twice, or is there though it was taken back. Wrongs: anything else that was not promised so.
    """

    losses: tuple[str, ...] = ()
    doubles: tuple[str, ...] = ()
    wrongs: tuple[str, ...] = ()

    def __add__(self, other: "Findings") -> "Findings":
        return Findings(self.losses + other.losses, self.doubles + other.doubles, self.wrongs + other.wrongs)

    def __bool__(self) -> bool:
        return bool(self.losses or self.doubles or self.wrongs)


def lost(texts: Iterable[str]) -> Findings:
    """So many losses."""
    return Findings(losses=tuple(texts))


def doubled(texts: Iterable[str]) -> Findings:
    """So many doubles."""
    return Findings(doubles=tuple(texts))


def wrong(texts: Iterable[str]) -> Findings:
    """So many wrongs."""
    return Findings(wrongs=tuple(texts))


@dataclass
class Tally:
    """One campaign. `tries`: runs that were judged; `faults`: how often a fault really happened in them."""

    name: str
    tries: int = 0
    faults: int = 0
    losses: int = 0
    doubles: int = 0
    wrongs: int = 0
    seconds: float = 0.0
    words: list[str] = field(default_factory=list)

    def judge(self, where: str, findings: Findings, faults: int = 1) -> None:
        """Count one try, in which so many faults happened at `where`."""
        self.tries += 1
        self.faults += faults
        self.losses += len(findings.losses)
        self.doubles += len(findings.doubles)
        self.wrongs += len(findings.wrongs)
        for kind in ("losses", "doubles", "wrongs"):
            self.words += [f"{where}: {kind}: {text}" for text in getattr(findings, kind)]
        del self.words[SHOWN:]

    @property
    def clean(self) -> bool:
        """Tried, and nothing found."""
        return self.tries > 0 and self.faults > 0 and not (self.losses or self.doubles or self.wrongs)

    def __str__(self) -> str:
        counts = (
            f"{self.tries} tries, {self.faults} faults: {self.losses} lost, {self.doubles} double, {self.wrongs} wrong"
        )
        return "\n  ".join([f"{self.name}: {counts}", *self.words])


def markdown(tallies: Iterable[Tally]) -> str:
    """The table of docs/reliability.md."""
    rows = [
        f"| {tally.name} | {tally.tries:,} | {tally.faults:,} | {tally.losses} | {tally.doubles} | {tally.wrongs} "
        f"| {tally.seconds:.0f} s |"
        for tally in tallies
    ]
    head = ["| campaign | tries | faults | losses | doubles | wrong | took |", "|---|---|---|---|---|---|---|"]
    return "\n".join([*head, *rows])
