"""The broker of a real operator keeps what every fabric promises; its members are stand-ins."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
from msgspec.structs import replace

from tasklet_runner.fabric.broker import ClusterFabric
from tasklet_runner.fabric.protocol import Fabric, LeaseRequest, LeaseView
from tests.integration.control_plane import ControlPlane
from tests.integration.lease_house import clear, lease_house
from tests.integration.operator_rig import OperatorRig, beside
from tests.support.fabric_contract import HOLDER, FabricContract


@pytest.fixture(scope="module")
def shared(controlled: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorRig]:
    """One operator for all tests of this file."""
    with lease_house(controlled, tmp_path_factory.mktemp("contract")) as rig:
        yield rig


class InNamespace(ClusterFabric):
    """Requests go to the rig's namespace, and wait for the pool's first members as the contract has it."""

    namespace = ""

    async def acquire(self, request: LeaseRequest) -> LeaseView:
        """See `Fabric.acquire`."""
        return await super().acquire(replace(request, namespace=self.namespace))


class TestOperator(FabricContract):
    """Of the whole operator."""

    rig: OperatorRig

    @pytest.fixture(autouse=True)
    def _shared(self, shared: OperatorRig) -> None:
        self.rig = shared

    def opened(self, directory: Path, workers: int) -> AbstractAsyncContextManager[Fabric]:
        """The default pool has so many members."""
        del directory
        return self._opened(workers)

    @asynccontextmanager
    async def _opened(self, workers: int) -> AsyncIterator[Fabric]:
        await beside(lambda: self.rig.pool(workers))
        await beside(lambda: self.rig.until_members(ready=workers))
        try:
            async with InNamespace(self.rig.access("a", holder=HOLDER)) as fabric:
                fabric.namespace = self.rig.namespace
                yield fabric
        finally:
            await beside(lambda: clear(self.rig))
            await beside(lambda: self.rig.until_gone("pods"))
