"""Two operators on a real control plane, one of them stopped past its reign, again and again: histories, judged."""

import asyncio
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.histories.campaign import Counted
from tests.histories.checker import judge
from tests.histories.history import dump
from tests.histories.verdicts import Rule
from tests.integration.control_plane import ControlPlane, PlaneOptions, running
from tests.integration.operator_rig import operator_rig
from tests.integration.replica_histories import Played, play
from tests.soak.tally import Tally, wrong
from tests.support.cluster.plane import install_kinds, until_pods_can_be_made

AT_A_TIME = 3
"""Schedules mostly wait for an election: each in a namespace of its own."""

KEPT = Path("build") / "histories"


def campaign(root: Path, seeds: Sequence[int], tally: Tally) -> Counted:
    """`suffer` on a control plane of its own. Raises AssertionError where there are no binaries for one."""
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    assert assets, "KUBEBUILDER_ASSETS is not set: it names the folder of kube-apiserver and etcd"
    with running(Path(assets), options=PlaneOptions(controllers=True, prepare=install_kinds)) as plane:
        until_pods_can_be_made(plane)
        return suffer(plane, root, seeds, tally)


def suffer(plane: ControlPlane, root: Path, seeds: Sequence[int], tally: Tally) -> Counted:
    """Play and judge the schedules of these seeds; what happened in them."""

    def played(seed: int) -> Played:
        directory = root / f"replicas-{seed}"
        directory.mkdir()
        with operator_rig(plane, directory) as rig:
            done = asyncio.run(play(rig, seed))
            rig.until_nothing_left()
            return done

    counted = Counted()
    with ThreadPoolExecutor(AT_A_TIME) as threads:
        for seed, done in zip(seeds, threads.map(played, seeds), strict=True):
            counted.add(done.history)
            _judge(seed, done, tally)
    return counted


def _judge(seed: int, done: Played, tally: Tally) -> None:
    found = [str(violation) for violation in judge(done.history)]
    if found:
        KEPT.mkdir(parents=True, exist_ok=True)
        dump(done.history, KEPT / f"replicas-{seed}.jsonl")
    if Rule.TOO_EARLY not in {violation.rule for violation in judge(done.betrayed)}:
        found.append("a lease was released that nobody had ended, and the checker did not find it")
    tally.judge(f"seed {seed}", wrong(found))
