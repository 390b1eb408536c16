"""The watches on a real API server: what was there, what changes, what goes unseen; and nothing is written by them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from leasegrid_operator.cluster import Cluster, connected
from leasegrid_operator.handlers import watch
from leasegrid_operator.progress import WatchProgress
from leasegrid_operator.reception import WATCHED, Reception, Scope
from leasegrid_operator.resources import LEASES, PODS, ObjectKey
from tests.integration.control_plane import ControlPlane
from tests.integration.operator_shell import lease, namespaced, through, until
from tests.support.cuttable import door
from tests.support.observers import Noting


class Watched:
    """A running watch of one namespace; `stop` ends it."""

    def __init__(self, namespace: str) -> None:
        self.observer = Noting()
        self.stop = asyncio.Event()
        clock = asyncio.get_running_loop().time
        self.progress = WatchProgress(WATCHED, clock())
        self.reception = Reception(self.observer, Scope((namespace,), clock), self.progress)
        self._namespace = namespace

    @asynccontextmanager
    async def by(self, cluster: Cluster) -> AsyncIterator[None]:
        """Watches for the time of an `async with`, from where the watches before have left off."""
        self.stop.clear()
        task = asyncio.create_task(watch(self.reception, cluster.credentials, [self._namespace], self.stop))
        try:
            async with asyncio.timeout(30):
                await self.reception.listed.wait()
            yield
        finally:
            self.stop.set()
            await task

    async def told(self, *expected: tuple[str, str, bool]) -> None:
        """Wait until the observer was told each (kind, name, deleted)."""
        await until(lambda: set(expected) <= {(kind, name, gone) for kind, _, name, gone in self.observer.told})


def test_what_is_there_what_comes_and_what_goes_is_told(cluster: ControlPlane) -> None:
    namespace = namespaced(cluster)

    async def run() -> None:
        watched = Watched(namespace)
        async with connected(cluster.kubeconfig) as api:
            before = await api.create(LEASES, lease("before", namespace))
            async with watched.by(api):
                assert watched.observer.told == [("lease", namespace, "before", False)]
                await api.create(LEASES, lease("during", namespace))
                await watched.told(("lease", "during", False))
                await api.delete(LEASES, ObjectKey(namespace, "before"))
                await watched.told(("lease", "before", True))
            after = await api.get(LEASES, ObjectKey(namespace, "during"))
        # Nobody has written to it: no finalizer, no annotation, no new version.
        assert set(after["metadata"]) <= {*before["metadata"], "managedFields"}
        assert len(after["metadata"]["managedFields"]) == 1
        assert watched.progress.stalled(asyncio.get_running_loop().time()) == ()

    asyncio.run(run())


def test_of_the_pods_only_ours_are_told(cluster: ControlPlane) -> None:
    namespace = namespaced(cluster)
    cluster.kubectl("create", "serviceaccount", "default", f"--namespace={namespace}")

    def pod(name: str, **labels: str) -> dict[str, object]:
        metadata = {"name": name, "namespace": namespace, "labels": labels}
        return {"metadata": metadata, "spec": {"containers": [{"name": "c", "image": "i"}]}}

    async def run() -> None:
        watched = Watched(namespace)
        async with connected(cluster.kubeconfig) as api, watched.by(api):
            await api.create(PODS, pod("theirs"))
            await api.create(PODS, pod("ours", **{"app.kubernetes.io/managed-by": "leasegrid"}))
            await watched.told(("pod", "ours", False))
        assert {name for _, _, name, _ in watched.observer.told} == {"ours"}

    asyncio.run(run())


@pytest.mark.unhappy("watch closed, 410: an object deleted meanwhile is told of")
def test_what_was_deleted_while_nobody_watched_is_told_after_the_next_list(cluster: ControlPlane) -> None:
    namespace = namespaced(cluster)

    async def run() -> None:
        watched = Watched(namespace)
        async with connected(cluster.kubeconfig) as api:
            for name in ("kept", "lost"):
                await api.create(LEASES, lease(name, namespace))
            async with watched.by(api):
                await watched.told(("lease", "kept", False), ("lease", "lost", False))
            await api.delete(LEASES, ObjectKey(namespace, "lost"))
            async with watched.by(api):
                await watched.told(("lease", "lost", True))
        assert ("lease", namespace, "kept", True) not in watched.observer.told

    asyncio.run(run())


@pytest.mark.unhappy("API server away: the watches go on by themselves when it is back")
def test_the_watches_outlive_an_api_server_that_is_away(cluster: ControlPlane, tmp_path: Path) -> None:
    namespace = namespaced(cluster)
    server = urlsplit(cluster.api.address)

    async def run() -> None:
        watched = Watched(namespace)
        async with (
            door(server.hostname or "", server.port or 0) as between,
            connected(cluster.kubeconfig) as api,
            connected(through(cluster, between.port, tmp_path)) as cut_off,
            watched.by(cut_off),
        ):
            await between.close()
            await api.create(LEASES, lease("meanwhile", namespace))
            await asyncio.sleep(1)  # some tries fail
            assert watched.observer.told == []
            await between.open()
            await watched.told(("lease", "meanwhile", False))

    asyncio.run(run())


@pytest.mark.unhappy("the operator as a user without a name")
def test_the_watches_do_not_mind_a_user_who_has_no_name(cluster: ControlPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 65532")

    monkeypatch.setattr("getpass.getuser", nameless)
    namespace = namespaced(cluster)

    async def run() -> None:
        watched = Watched(namespace)
        async with connected(cluster.kubeconfig) as api, watched.by(api):
            await api.create(LEASES, lease("seen", namespace))
            await watched.told(("lease", "seen", False))

    asyncio.run(run())
