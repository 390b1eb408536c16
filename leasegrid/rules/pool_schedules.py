"""The target that a pool's schedules give at an instant. A pure function of that instant: time zones are data."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from leasegrid.api.pool import Schedule


@dataclass(frozen=True)
class Scheduled:
    """The largest target of the schedules that hold now (0: none), and in how many seconds that may change."""

    target: int = 0
    changes_in: float | None = None


def scheduled(schedules: Sequence[Schedule], wall_time: float) -> Scheduled:
    """What the schedules ask for at this UNIX time. A schedule holds from each start for its duration."""
    if not schedules:
        return Scheduled()
    windows = [_window(one, wall_time) for one in schedules]
    target = max((one.target_size for one, (holds, _) in zip(schedules, windows, strict=True) if holds), default=0)
    return Scheduled(target, min(change for _, change in windows))


def _window(schedule: Schedule, wall_time: float) -> tuple[bool, float]:
    """Whether the schedule holds, and the seconds until it ends or starts again."""
    # Imported here, as it is slow to load and few pools have schedules.
    from croniter import croniter  # type: ignore[import-untyped]

    zone, second = ZoneInfo(schedule.time_zone), int(wall_time)
    # Both look strictly before and after, and starts are whole minutes: a start that is now is a past one.
    started = float(croniter(schedule.start, datetime.fromtimestamp(second + 1, zone)).get_prev(float))
    starts = float(croniter(schedule.start, datetime.fromtimestamp(second, zone)).get_next(float))
    ends = started + schedule.duration_seconds
    holds = wall_time < ends
    return holds, (min(ends, starts) if holds else starts) - wall_time
