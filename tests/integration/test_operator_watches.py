"""Watches that end, that are too old, that fall silent: nothing is missed, and silence is noticed."""

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from leasegrid_operator.cluster import Write, connected
from leasegrid_operator.handlers import watch
from leasegrid_operator.health import Health, serving
from leasegrid_operator.progress import COMES_BACK_SECONDS, WatchProgress
from leasegrid_operator.reception import WATCHED, Reception, Scope
from leasegrid_operator.resources import LEASES
from tests.integration.control_plane import ControlPlane
from tests.integration.operator_rig import OperatorRig, operator_rig
from tests.integration.operator_shell import lease, namespaced, through, until
from tests.support.cluster.records import holders
from tests.support.cuttable import DoorBeside, door, door_beside
from tests.support.observers import Noting


@contextmanager
def cuttable_rig(plane: ControlPlane, directory: Path) -> Iterator[tuple[OperatorRig, DoorBeside]]:
    """A rig, and what stands between its operator, and nobody else, and the API server."""
    server = urlsplit(plane.api.address)
    with (
        operator_rig(plane, directory) as rig,
        door_beside(str(server.hostname), int(server.port or 0)) as between,
    ):
        rig.start("a", kubeconfig=str(through(plane, between.port, directory)))
        yield rig, between


def forget_the_past(plane: ControlPlane) -> None:
    """Compact the store up to now; the server, started anew, has no changes in memory that are older."""
    version = str(plane.api.ask("GET", "/api/v1/namespaces").body["metadata"]["resourceVersion"])  # type: ignore[index]
    body = json.dumps({"revision": version, "physical": True}).encode()
    request = urllib.request.Request(f"{plane.store}/v3/kv/compaction", data=body)  # noqa: S310 - the address is ours
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - as above
        pass
    plane.stop_server(kill=True)
    plane.start_server()


def watch_from(rig: OperatorRig, version: str) -> str:
    """What the server answers to a watch of the leases from that version on."""
    path = f"{rig.path('leases')}?watch=1&resourceVersion={version}&timeoutSeconds=1"
    answer = rig.plane.api.ask("GET", path)
    return json.dumps(answer.body)


def until_leases_are_true(rig: OperatorRig, *names: str) -> None:
    """Wait until these are bound, and until theirs are the only members that are."""
    rig.until_bound(*names)
    rig.wait(
        lambda: (set(holders(rig.records())), {member for name in names for member in rig.epochs(name)}),
        lambda both: both[0] == both[1],
        f"the members of {names} are bound, and no others",
    )


@pytest.mark.unhappy("watch closed by the server, again and again: nothing is missed")
def test_watches_that_are_cut_again_and_again_miss_nothing(controlled: ControlPlane, tmp_path: Path) -> None:
    with cuttable_rig(controlled, tmp_path) as (rig, between):
        cut_again_and_again(rig, between)


def cut_again_and_again(rig: OperatorRig, between: DoorBeside) -> None:
    rig.pool(4)
    rig.lease("kept")
    rig.until_bound("kept")
    for turn in range(8):
        between.close()
        if turn % 2:
            rig.delete("leases", f"passing-{turn - 1}")
        else:
            rig.lease(f"passing-{turn}")
        between.open()
    until_leases_are_true(rig, "kept")
    rig.lease("last", count=3)
    until_leases_are_true(rig, "kept", "last")
    rig.check_none_bound_twice()
    rig.until_nothing_left()


@pytest.mark.unhappy("410 Gone: what was made and deleted beyond the server's memory is found by the next list")
def test_a_watch_that_is_too_old_is_begun_anew_and_misses_nothing(mortal: ControlPlane, tmp_path: Path) -> None:
    with cuttable_rig(mortal, tmp_path) as (rig, between):
        lose_the_past(rig, between)


def lose_the_past(rig: OperatorRig, between: DoorBeside) -> None:
    rig.pool(3)
    rig.pool(1, "other")
    rig.lease("kept")
    rig.lease("deleted", count=2)
    rig.until_bound("kept", "deleted")
    rig.until_members("other", ready=1)
    version = str(rig.get("leases", "deleted")["metadata"]["resourceVersion"])
    between.close()
    rig.delete("leases", "deleted")
    rig.delete("instancepools", "other")
    rig.lease("made", count=2)
    forget_the_past(rig.plane)
    rig.wait(lambda: watch_from(rig, version), lambda said: "too old resource version" in said, "the past is forgotten")
    between.open()

    until_leases_are_true(rig, "kept", "made")
    rig.wait(lambda: len(rig.all("pods")), lambda count: count == 3, "the members of the deleted pool are gone")
    rig.check_none_bound_twice()


@pytest.mark.unhappy("watches stall in silence: liveness fails and says which, and recovers when they go on")
def test_liveness_fails_when_our_own_writes_do_not_come_back(cluster: ControlPlane, tmp_path: Path) -> None:
    namespace, server = namespaced(cluster), urlsplit(cluster.api.address)

    async def run() -> None:
        clock = asyncio.get_running_loop().time
        ahead, stop, observer = [0.0], asyncio.Event(), Noting()
        progress = WatchProgress(WATCHED, clock())
        reception = Reception(observer, Scope((namespace,), clock), progress)

        def told(write: Write) -> None:
            progress.written(write.resource, write.version, clock())

        health = Health(lambda: progress.stalled(clock() + ahead[0]), tuple, CollectorRegistry())
        async with (
            door(str(server.hostname), int(server.port or 0)) as between,
            connected(cluster.kubeconfig, told=told) as api,
            connected(through(cluster, between.port, tmp_path)) as watched,
            serving(health, "127.0.0.1", 0) as port,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}") as probe,
        ):

            async def alive() -> tuple[int, str]:
                async with probe.get("/healthz") as answer:
                    return answer.status, await answer.text()

            watching = asyncio.create_task(watch(reception, watched.credentials, [namespace], stop))
            await asyncio.wait_for(reception.listed.wait(), 30)
            await api.create(LEASES, lease("seen", namespace))
            await until(lambda: ("lease", namespace, "seen", False) in observer.told)
            between.mute()
            await api.create(LEASES, lease("swallowed", namespace))
            assert await alive() == (200, "ok")
            ahead[0] = COMES_BACK_SECONDS + 1
            status, words = await alive()
            assert status == 503
            assert "the watch of leases has not shown our own writes" in words
            await between.close()
            await between.open()
            await until(lambda: ("lease", namespace, "swallowed", False) in observer.told)
            assert await alive() == (200, "ok")
            stop.set()
            await watching

    asyncio.run(run())
