"""A random schedule: who does what when, drawn from a seed. Pure.

Every schedule has leases of two operators over the same two workers, and a store that two holders want, or that two
coordinators of different terms write to, or both. Nemeses are drawn beside: whoever acts is stopped and goes on, what
is said is held back and delivered late, clocks step, signed statements are sent again, some at once, some late, and
Block stores are killed and followed by another on the same volume, which may be tried too early, too.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

OPERATORS = ("operator-1", "operator-2")
HOLDERS = ("holder-1", "holder-2")
WORKERS = ("worker-1", "worker-2")
CLOCKS = ("members", *OPERATORS, "holders")
HORIZON_SECONDS = 1.5
"""After that nothing new begins."""

AFTERWARDS_SECONDS = 2.2
"""The same where a store was killed."""

HOUR = 3600.0
STORE, JOB = "store", "job"


@dataclass(frozen=True)
class Step:
    """At so many seconds after the beginning `who` does this. `on`: a member, a lease or a clock.

    `seconds`: how long a stop, a hold or a lease lasts, or how far a clock steps; `number`: what is written, a term, or
    of a kill: 1 when the successor is at the same address. `before`: as the lease was before its store was killed.
    """

    at: float
    who: str
    verb: str
    on: str = ""
    seconds: float = 0.0
    number: int = 0
    before: bool = False


@dataclass(frozen=True)
class Schedule:
    """`roles`: of the stores that it takes, by their names; `replays`: the seed of what is sent again."""

    seed: int
    steps: tuple[Step, ...]
    roles: tuple[tuple[str, str], ...]
    replays: int


def draw(seed: int) -> Schedule:
    """Always the same of the same seed."""
    chance = random.Random(seed)
    steps = list(_of_workers(chance))
    roles = []
    for name, scene in (((STORE, _of_store),), ((JOB, _of_job),), ((STORE, _of_store), (JOB, _of_job)))[seed % 3]:
        roles.append((name, chance.choice(("Memory", "Block"))))
        steps += scene(chance)
    steps += _of_clocks(chance)
    replays = chance.getrandbits(32)
    for name, role in roles:
        if role == "Block" and chance.random() < 0.7:
            steps += _of_volume(chance, name)
    return Schedule(seed, tuple(sorted(steps, key=lambda step: step.at)), tuple(roles), replays)


def _of_workers(chance: random.Random) -> Iterator[Step]:
    first, second = chance.sample(OPERATORS, 2)
    yield Step(0.0, first, "reign")
    for number in range(2):
        yield Step(chance.uniform(0, 0.2), first, "acquire", f"{HOLDERS[number]}/early")
    stopped = chance.uniform(0.1, 0.5)
    if chance.random() < 0.7:
        yield Step(stopped, first, "stop", seconds=chance.uniform(0.2, 1.6))
    yield Step(stopped + chance.uniform(0, 0.4), second, "reign")
    for number in range(4):
        begin = chance.uniform(stopped, HORIZON_SECONDS - 0.2)
        yield Step(begin, chance.choice(OPERATORS), "acquire", f"{HOLDERS[number % 2]}/late-{number}")
    for _ in range(chance.randrange(4)):
        lease = f"{chance.choice(HOLDERS)}/{chance.choice(('early', 'late-0', 'late-1'))}"
        verb = chance.choice(("renew", "renew", "release"))
        yield Step(chance.uniform(0.3, HORIZON_SECONDS), chance.choice(OPERATORS), verb, lease)
    yield from _disturbed(chance, OPERATORS, WORKERS)


def _of_store(chance: random.Random) -> Iterator[Step]:
    seconds = chance.uniform(0.4, 1.1)
    rivals = chance.sample(HOLDERS, chance.choice((1, 2, 2)))
    for holder in rivals:
        for _ in range(chance.choice((1, 1, 2))):
            yield Step(0.0, "fabric", "bind", f"{STORE}/{holder}", seconds=seconds)
    for holder in rivals:
        for number in range(chance.randrange(3, 7)):
            # Most in time, some after the end: whoever was stopped or held back is late enough by that.
            at = chance.uniform(0.05, seconds + chance.choice((0, 0, 0.4)))
            yield Step(at, holder, "put", f"{STORE}/{holder}", number=number)
            yield Step(at + chance.uniform(0.02, 0.4), holder, "get", f"{STORE}/{holder}", number=number)
        if chance.random() < 0.5:
            yield Step(chance.uniform(0.2, seconds), "fabric", "renew", f"{STORE}/{holder}", seconds=1.5)
        if chance.random() < 0.4:
            yield Step(chance.uniform(0.3, 1.2), "fabric", "release", f"{STORE}/{holder}")
    yield from _disturbed(chance, rivals, (STORE,))


def _of_job(chance: random.Random) -> Iterator[Step]:
    lease = f"{JOB}/{HOLDERS[0]}"
    yield Step(0.0, "fabric", "bind", lease, seconds=chance.uniform(1.2, 2.0))
    opened = sorted(chance.uniform(0.05, 1.2) for _ in range(chance.choice((2, 2, 3))))
    for term, at in enumerate(opened, 1):
        writer = HOLDERS[term % 2]
        yield Step(at, writer, "open", lease, number=term)
        for number in range(chance.randrange(3, 7)):
            begin = at + chance.uniform(0, 0.7)
            # A key per write, but one value for all terms: the newest one's stands.
            yield Step(begin, writer, chance.choice(("write", "set")), lease, number=100 * term + number)
            yield Step(
                begin + chance.uniform(0, 0.4),
                writer,
                chance.choice(("get", "read")),
                lease,
                number=100 * term + number,
            )
    yield from _disturbed(chance, HOLDERS, (JOB,))


def _of_volume(chance: random.Random, name: str) -> Iterator[Step]:
    """A store is killed, once or twice, and followed; whoever has it goes on, there and where it was before."""
    kills = sorted(chance.uniform(0.2, 1.3) for _ in range(chance.choice((1, 1, 2))))
    for at in kills:
        yield Step(at, "nemesis", "kill", name, seconds=chance.uniform(0, 0.3), number=chance.randrange(2))
    if chance.random() < 0.4:
        yield Step(chance.uniform(0.1, 1.5), "nemesis", "crowd", name)
    for holder in HOLDERS if name == STORE else HOLDERS[:1]:
        lease = f"{name}/{holder}"
        yield Step(chance.uniform(0.1, kills[0]), "fabric", "renew", lease, seconds=chance.uniform(1.5, 3.0))
        if chance.random() < 0.3:
            yield Step(chance.uniform(kills[0], AFTERWARDS_SECONDS), "fabric", "bind", lease, seconds=1.0)
        if name == STORE:
            yield from _goes_on(chance, holder, lease, ("put", "get"), range(50, 58))
    if name == JOB:
        for term in (1, 2, 3):
            verbs = (chance.choice(("write", "set")), chance.choice(("get", "read")))
            yield from _goes_on(chance, HOLDERS[term % 2], lease, verbs, range(100 * term + 50, 100 * term + 54))
        yield Step(
            chance.uniform(kills[0], AFTERWARDS_SECONDS), HOLDERS[1], "open", lease, number=chance.randrange(1, 5)
        )


def _goes_on(chance: random.Random, holder: str, lease: str, verbs: tuple[str, str], numbers: range) -> Iterator[Step]:
    """What is written is asked for soon and late: at the same server, and at the next."""
    for number in numbers:
        at = chance.uniform(0.1, AFTERWARDS_SECONDS - 0.2)
        yield Step(at, holder, verbs[0], lease, number=number, before=chance.random() < 0.2)
        for late in (chance.uniform(0, 0.3), chance.uniform(0.3, 1.5)):
            begin = min(at + late, AFTERWARDS_SECONDS)
            yield Step(begin, holder, verbs[1], lease, number=number, before=chance.random() < 0.1)


def _disturbed(chance: random.Random, people: tuple[str, ...] | list[str], members: tuple[str, ...]) -> Iterator[Step]:
    """People are stopped or their words held back, members are stopped: some of it past the ends of leases."""
    for who in people:
        if chance.random() < 0.4:
            begin = chance.uniform(0.05, 1.0)
            yield Step(begin, who, "hold", chance.choice(members), seconds=chance.uniform(0.1, 1.4))
        if who in HOLDERS and chance.random() < 0.3:
            yield Step(chance.uniform(0.05, 1.0), who, "stop", seconds=chance.uniform(0.1, 1.2))
    for member in members:
        if chance.random() < 0.3:
            verb = chance.choice(("stop", "stop-tree"))
            yield Step(chance.uniform(0.1, 1.2), "nemesis", verb, member, seconds=chance.uniform(0.1, 1.4))


def _of_clocks(chance: random.Random) -> Iterator[Step]:
    for _ in range(chance.randrange(4)):
        yield Step(
            chance.uniform(0, HORIZON_SECONDS), "nemesis", "step", chance.choice(CLOCKS),
            seconds=chance.uniform(-48, 48) * HOUR,
        )  # fmt: skip
