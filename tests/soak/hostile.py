"""The hostile corpus on real members: every case ends in its fault, and neighbours lose nothing, not even time."""

from pathlib import Path

from tests.hostile.corpus import ROOMS
from tests.hostile.stage import Effort, Report, play_room
from tests.soak.tally import Tally, wrong

LEAST_SHARE = 0.8
"""Of its quiet rate a neighbour keeps at least so much, over the whole corpus."""

_QUIET_SECONDS = 5.0


def campaign(root: Path, tally: Tally, *, timed: bool) -> None:
    """Every room of the corpus. `timed`: with one hostile slot at a time, once with a neighbour in the other slot of
    the same member and once with another holder's at another member, each measured beside a quiet stretch.
    """
    if not timed:
        _play(root / "all", Effort(), tally)
        return
    for who, effort in (
        ("in another slot", Effort(slots=2, quiet_seconds=_QUIET_SECONDS, other=False)),
        ("of another holder", Effort(slots=2, quiet_seconds=_QUIET_SECONDS, holder=False)),
    ):
        reports = _play(root / who.replace(" ", "-"), effort, tally)
        quiet, beside = (sum(report.rates[who][at] * report.seconds for report in reports) for at in (0, 1))
        share = beside / quiet
        rooms = ", ".join(
            f"{name} {report.rates[who][1] / report.rates[who][0]:.0%}"
            for name, report in zip(ROOMS, reports, strict=True)
        )
        tally.words.append(f"a neighbour {who} kept {share:.0%} of its quiet rate ({rooms})")
        if share < LEAST_SHARE:
            tally.judge(f"a neighbour {who}", wrong([f"it kept only {share:.0%} of its rate"]), faults=0)


def _play(root: Path, effort: Effort, tally: Tally) -> list[Report]:
    root.mkdir()
    reports = []
    for number, room in enumerate(ROOMS.values()):
        (place := root / str(number)).mkdir()
        report = play_room(place, room, effort)
        tally.tries += report.tried
        tally.faults += report.faults
        tally.wrongs += len(report.wrongs)
        tally.words += report.wrongs
        reports.append(report)
    return reports
