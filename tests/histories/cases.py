"""Schedules by hand: what a campaign found once, and what every defect must be found in."""

from tests.histories.schedule import HOUR, JOB, STORE, Schedule, Step

_RIVALS = tuple(Step(0.0, "fabric", "bind", f"{STORE}/holder-{number}", seconds=1.0) for number in (1, 2))
_USED = tuple(
    step
    for number, at in enumerate((0.1, 0.3, 0.5, 0.7), 1)
    for who in ("holder-1", "holder-2")
    for step in (
        Step(at, who, "put", f"{STORE}/{who}", number=number),
        Step(at + 0.1, who, "get", f"{STORE}/{who}", number=number),
        Step(at + 0.2, who, "get", f"{STORE}/{who}", number=1),
    )
)
_LATE = tuple(Step(at, "holder-1", "get", f"{STORE}/holder-1", number=1) for at in (1.2, 1.4, 1.6))
_LATE_BEHIND_A_DOOR = (
    Step(0.8, "holder-2", "hold", STORE, seconds=0.7),
    Step(0.85, "holder-2", "get", f"{STORE}/holder-2", number=1),
)
_LEASE = f"{JOB}/holder-1"
_TERMS = (
    Step(0.0, "fabric", "bind", _LEASE, seconds=1.5),
    Step(0.1, "holder-1", "open", _LEASE, number=1),
    Step(0.3, "holder-1", "set", _LEASE, number=100),
    Step(0.5, "holder-2", "open", _LEASE, number=2),
    Step(0.7, "holder-2", "set", _LEASE, number=200),
    Step(0.9, "holder-1", "set", _LEASE, number=101),
    Step(1.0, "holder-1", "write", _LEASE, number=102),
    Step(1.1, "holder-2", "read", _LEASE, number=200),
    Step(1.2, "holder-2", "get", _LEASE, number=102),
)
_VOLUME = "volume"
_KEPT = f"{_VOLUME}/holder-1"
_FALLEN = (
    Step(0.0, "fabric", "bind", _KEPT, seconds=6.0),
    Step(0.1, "holder-1", "open", _KEPT, number=1),
    Step(0.2, "holder-1", "write", _KEPT, number=110),
    Step(0.2, "holder-1", "set", _KEPT, number=111),
    Step(0.3, "nemesis", "crowd", _VOLUME),
    Step(0.7, "holder-2", "open", _KEPT, number=2),
    Step(0.8, "nemesis", "kill", _VOLUME, number=1),
    *(Step(0.82 + 0.02 * turn, "holder-1", "get", _KEPT, number=110) for turn in range(12)),
    Step(2.8, "fabric", "release", _KEPT),
    *(
        step
        for at in (1.2, 1.7, 2.4)
        for step in (
            Step(at, "holder-1", "set", _KEPT, number=112),
            Step(at, "holder-1", "get", _KEPT, number=110),
            Step(at, "holder-1", "get", _KEPT, number=110, before=True),
            Step(at, "holder-2", "read", _KEPT, number=211),
            Step(at, "holder-2", "write", _KEPT, number=round(200 + 10 * at), before=True),
        )
    ),
)
_OPERATORS = (
    Step(0.0, "operator-1", "reign"),
    Step(0.1, "operator-1", "acquire", "holder-1/early"),
    Step(0.4, "operator-1", "stop", seconds=1.4),
    Step(0.5, "operator-2", "reign"),
    Step(0.6, "operator-2", "acquire", "holder-2/late"),
    Step(1.3, "operator-2", "acquire", "holder-2/later"),
    Step(1.3, "operator-1", "acquire", "holder-1/late"),
)

_CLOCKS = (
    Step(0.0, "nemesis", "step", "operator-2", seconds=10 * HOUR),
    Step(0.2, "operator-1", "reign"),
    Step(0.2, "operator-2", "reign"),
    Step(0.6, "operator-1", "acquire", "holder-1/early"),
    Step(0.6, "operator-2", "acquire", "holder-2/early"),
    Step(0.9, "operator-1", "reign"),
    Step(1.2, "operator-1", "renew", "holder-1/early"),
    Step(1.2, "operator-1", "renew", "holder-2/early"),
)


def _case(*steps: Step, roles: tuple[tuple[str, str], ...] = ()) -> Schedule:
    return Schedule(0, tuple(sorted(steps, key=lambda step: step.at)), roles, replays=0)


_TWO_CLOCKS = "an operator takes over leases that were bound by two clocks"
CASES = {
    "two holders want one store, and go on after its end": _case(
        *_RIVALS, *_USED, *_LATE, *_LATE_BEHIND_A_DOOR, roles=((STORE, "Memory"),)
    ),
    "a coordinator goes on after the next one has opened the store": _case(*_TERMS, roles=((JOB, "Block"),)),
    "a store of two coordinators is killed and followed, and they go on": _case(*_FALLEN, roles=((_VOLUME, "Block"),)),
    _TWO_CLOCKS: _case(*_CLOCKS),
    "an operator stands still past its reign, and goes on": _case(*_OPERATORS),
}

_TOGETHER = [case for case in CASES.values() if case is not CASES[_TWO_CLOCKS]]
EVERYTHING = _case(
    *(step for case in _TOGETHER for step in case.steps),
    roles=tuple(role for case in _TOGETHER for role in case.roles),
)
"""All at once, but for the one that sets the clock of an operator."""
