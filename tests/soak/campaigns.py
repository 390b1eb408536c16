"""Every campaign by its name, short and long."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.histories.campaign import Campaign, Counted
from tests.soak import (
    clocks,
    cluster_jobs,
    corruptions,
    durable_jobs,
    fuzzing,
    hostile,
    models,
    overload,
    pauses,
    replicas,
    takeovers,
)
from tests.soak.driving import Effort, Scenario, cuts, failures, kills
from tests.soak.durable_judge import DURABLE
from tests.soak.slots_judge import SLOTS
from tests.soak.state_judge import STATE
from tests.soak.store_judge import STORE
from tests.soak.tally import Tally
from tests.support.outages import suffer

Run = Callable[[Path, Tally], None]
"""Tries in an empty directory of its own, and counts."""


@dataclass(frozen=True)
class Scale:
    """How much is tried. `seed`: of all that is drawn; `bound`: most faults of one kind for one scenario; None: all."""

    seed: int
    bound: int | None
    power_seeds: int
    corruptions: int
    jobs: int
    stalls: int
    durable_kills: int
    outages: int
    cluster_kills: int
    schedules: int
    reigns: int


def short(seed: int) -> Scale:
    """Some minutes."""
    return Scale(seed, 100, 3, 500, 1, 2, 6, 20, 20, 50, 3)


def long(seed: int) -> Scale:
    """Half an hour: every call of every scenario, 10,000 corruptions, 200 kills."""
    return Scale(seed, None, 10, 10_000, 10, 10, 60, 200, 200, 1000, 30)


SCENARIOS = {"checkpoint slots": SLOTS, "Durable": DURABLE, "a store": STORE, "the state directory": STATE}


def campaigns(scale: Scale) -> Iterator[tuple[str, Run]]:
    """The name of each campaign, and what runs it."""
    for name, scenario in SCENARIOS.items():
        yield from _of_scenario(name, scenario, scale)
    for damage in (corruptions.checkpoints, corruptions.objects, corruptions.capabilities, corruptions.frames):
        yield f"random damage: {damage.__name__}", partial(_damaged, damage, scale)
    yield from fuzzing.campaigns(scale.seed, short=scale.bound is not None)
    yield from models.campaigns(scale.seed, short=scale.bound is not None)
    yield "clock steps: jobs", lambda root, tally: clocks.jobs(root, scale.jobs, scale.seed, tally)
    steps = tuple(step for step in clocks.STEPS if step)[:: 1 if scale.bound is None else 3]
    yield "clock steps: members", lambda root, tally: clocks.members(root, steps, tally)
    yield "clock steps: Block leases", lambda root, tally: clocks.blocks(root, steps, tally)
    yield (
        "stopped: members and commands of jobs",
        lambda root, tally: pauses.jobs(root, 2 * scale.jobs, scale.seed, tally),
    )
    yield "stopped: members", lambda root, tally: pauses.members(root, scale.stalls, tally)
    yield "stopped: stores with a put at the door", lambda root, tally: pauses.stores(root, scale.stalls, tally)
    yield (
        "stopped: programs whose state another takes over",
        lambda root, tally: takeovers.campaign(root, scale.stalls, tally),
    )
    yield (
        "killed at random: slots, members and commands of durable chunks",
        lambda root, tally: durable_jobs.campaign(root, scale.durable_kills, scale.seed, tally),
    )
    yield "hostile tasklets", lambda root, tally: hostile.campaign(root, tally, timed=scale.bound is None)
    yield "killed at random: commands, and everything", partial(_outages, scale)
    storms = overload.LONG if scale.bound is None else overload.SHORT
    for server in overload.SERVERS:
        yield f"overload: {server}", partial(_stormed, storms, server)
    yield "fencing", partial(_fencing, scale)
    if os.environ.get("KUBEBUILDER_ASSETS"):
        # These need a control plane; everything else runs on any machine.
        yield "fencing: two operators on a control plane", partial(_replicas, scale)
        yield (
            "killed at random: what runs jobs on a cluster",
            lambda root, tally: cluster_jobs.campaign(root, scale.cluster_kills, scale.seed, tally),
        )


def _of_scenario(name: str, scenario: Scenario, scale: Scale) -> Iterator[tuple[str, Run]]:
    effort = Effort(scale.seed, scale.bound)
    yield f"killed at each call: {name}", lambda root, tally: kills(root, scenario, effort, tally)
    yield f"a failing disk at each call: {name}", lambda root, tally: failures(root, scenario, effort, tally)
    yield (
        f"power cut at each call: {name}",
        lambda root, tally: cuts(root, scenario, effort, tally, scale.power_seeds),
    )


def _damaged(damage: Callable[[Path, int, int, Tally], None], scale: Scale, root: Path, tally: Tally) -> None:
    damage(root, scale.corruptions, scale.seed, tally)


def _stormed(storms: overload.Effort, server: str, root: Path, tally: Tally) -> None:
    overload.campaign(root, storms, server, tally)


def _fencing(scale: Scale, root: Path, tally: Tally) -> None:
    first = 1000 * scale.seed
    _say(Campaign(root, tally).run(range(first, first + scale.schedules)))


def _replicas(scale: Scale, root: Path, tally: Tally) -> None:
    first = 1000 * scale.seed
    _say(replicas.campaign(root, range(first, first + scale.reigns), tally))


def _say(counted: Counted) -> None:
    sys.stdout.write(f"{counted}\n")


def _outages(scale: Scale, root: Path, tally: Tally) -> None:
    found = suffer(root, scale.outages, scale.seed)
    tally.tries, tally.faults = found.rounds, found.kills
    tally.losses, tally.doubles = found.losses, found.doubles
    tally.wrongs = max(0, len(found.wrong) - found.losses - found.doubles)
    tally.words += found.wrong[:20]
