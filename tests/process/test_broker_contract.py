"""The cluster's fabric, over the broker's HTTP, keeps what every fabric promises."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from leasegrid.local.state import StateDirectory
from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.calls import BrokerAccess
from tasklet_runner.fabric.protocol import Fabric
from tests.process.local_fabric_rig import local_fabric
from tests.support.broker import FabricDesk, served, token_file, url_of
from tests.support.fabric_contract import HOLDER, FabricContract


@asynccontextmanager
async def brokered(directory: Path, workers: int) -> AsyncIterator[Fabric]:
    async with local_fabric(directory, workers) as behind:
        state = StateDirectory(directory / "state")
        desk = FabricDesk({"default": behind}, state.key)
        state.close()
        async with served(desk) as server:
            access = BrokerAccess((url_of(server),), token_file(directory), HOLDER)
            async with ClusterFabric(access) as fabric:
                yield fabric


class TestClusterFabric(FabricContract):
    def opened(self, directory: Path, workers: int) -> AbstractAsyncContextManager[Fabric]:
        return brokered(directory, workers)
