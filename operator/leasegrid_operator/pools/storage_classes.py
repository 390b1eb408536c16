"""The cluster's StorageClasses and CSIDrivers, read when a pool of Block members needs them, and again now and then."""

import asyncio
from collections.abc import Callable

from leasegrid.api.pool import InstancePoolSpec
from leasegrid_operator.cluster import Cluster, Object
from leasegrid_operator.errors import ClusterError
from leasegrid_operator.pools.storage import StorageVerdict, judge_storage
from leasegrid_operator.pools.writing import Writer
from leasegrid_operator.resources import CSI_DRIVERS, STORAGE_CLASSES

FRESH_SECONDS = 30.0
FRESH_WITH_COMPLAINT_SECONDS = 2.0
"""Somebody may be mending what a pool complains of."""


class StorageClasses:
    """What was read last. Nothing but the reading waits."""

    def __init__(self, cluster: Cluster, writer: Writer, changed: Callable[[], None]) -> None:
        self._cluster = cluster
        self._writer = writer
        self._changed = changed
        self._classes: list[Object] | None = None
        self._drivers: list[Object] = []
        self._read_at = float("-inf")
        self._reading = False

    def look(self) -> None:
        """Read them anew, beside."""
        if not self._reading:
            self._reading = True
            self._writer.beside(self._read())

    def verdict(self, spec: InstancePoolSpec) -> StorageVerdict | None:
        """What they mean for a pool; None while they are not known yet."""
        found = None if self._classes is None else judge_storage(spec, self._classes, self._drivers)
        fresh = FRESH_SECONDS if found is not None and found.complaint is None else FRESH_WITH_COMPLAINT_SECONDS
        if asyncio.get_running_loop().time() > self._read_at + fresh:
            self.look()
        return found

    async def _read(self) -> None:
        try:
            classes = (await self._cluster.list(STORAGE_CLASSES)).items
            self._classes, self._drivers = classes, (await self._cluster.list(CSI_DRIVERS)).items
        except ClusterError:
            # What was known still holds; the next look reads again.
            return
        finally:
            self._read_at, self._reading = asyncio.get_running_loop().time(), False
            self._changed()
