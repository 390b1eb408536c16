"""The local fabric keeps what every fabric promises."""

from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tasklet_runner.fabric.protocol import Fabric
from tests.process.local_fabric_rig import local_fabric
from tests.support.fabric_contract import FabricContract


class TestLocalFabric(FabricContract):
    def opened(self, directory: Path, workers: int) -> AbstractAsyncContextManager[Fabric]:
        return local_fabric(directory, workers)
