"""What the parts of the local fabric share: the engine's own, and what belongs to one machine."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from leasegrid.leasing.leases import LeaseRecord
from leasegrid.leasing.parts import Parts
from leasegrid.leasing.pools import Pool
from leasegrid.leasing.signing import SteadyClock
from leasegrid.local.blocks import BlockVolumes
from leasegrid.local.books import LeaseRow, Resource
from leasegrid.local.pools import Pools
from leasegrid.local.processes import Processes
from leasegrid.local.state import StateDirectory
from tasklet_runner.fabric.protocol import Receipt


@dataclass(frozen=True)
class LocalParts:
    """`shared` is the engine's; `pools` knows the machine's room, `processes` the members' processes, `volumes` what
    Block members serve.
    """

    shared: Parts
    pools: Pools
    processes: Processes
    volumes: BlockVolumes


class Books:
    """Implements `Ledger` in the state directory."""

    def __init__(
        self, state: StateDirectory, clock: SteadyClock, pools: Mapping[str, Pool], volumes: BlockVolumes
    ) -> None:
        self._state = state
        self._clock = clock
        self._pools = pools
        self._volumes = volumes

    def write_down(self, record: LeaseRecord) -> None:
        """The lease as it is now, into the books."""
        request = record.request
        resource = Resource(self._pools[record.pools[0]].shape.role.value)
        row = LeaseRow(
            uid=record.uid,
            resource=resource,
            name=request.request_id,
            namespace=request.namespace,
            holder=request.holder_identity,
            purpose=request.purpose,
            pool=" ".join(record.pools),
            members=tuple(record.held),
            acquired=record.acquired,
            expires=record.deadline,
        )
        if resource is Resource.BLOCK:
            self._volumes.own(record.uid, record.held)
            # The fabric's clock does not step, and what stands on a volume is read by the one that does.
            left = record.deadline - self._clock.now()
            self._volumes.write_down(msgspec.structs.replace(row, expires=time.time() + left), request.ttl_seconds)
        else:
            self._state.books.write(row)

    def close_account(self, record: LeaseRecord, receipt: Receipt) -> None:
        """The receipt, into the books; a lease that a later run may go on with stays in them."""
        if self._volumes.is_spared(record.uid):
            return
        self._state.books.end(record.uid, self._clock.now(), receipt)
