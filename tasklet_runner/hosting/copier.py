"""The process of a pod that has somebody's volume mounted: it copies a job's outputs there, and ends."""

import asyncio
import sys
from pathlib import Path

import msgspec

from tasklet_runner.client.granted_store import GrantedStore
from tasklet_runner.data.access import Access
from tasklet_runner.data.copying import CopyReceipt, copy_outputs
from tasklet_runner.plan.types import Plan
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.jobs import CopyOrder

EXIT_TROUBLE = 4


def run_copier(order: str, into: Path) -> int:
    """Copy everything below `into`, as `data.copying` does; the exit code of the process, and words on stdout.

    `order`: a CopyOrder as JSON.
    """
    try:
        receipt = asyncio.run(_copied(msgspec.json.decode(order, type=CopyOrder), into))
    except LeaseGridError as error:
        sys.stdout.write(f"{error}\n")
        return EXIT_TROUBLE
    except UNREADABLE as error:
        sys.stdout.write(f"the order cannot be read: {error}\n")
        return EXIT_TROUBLE
    sys.stdout.write(f"{receipt.files} files, {receipt.bytes:,} bytes\n")
    return 0


async def _copied(order: CopyOrder, into: Path) -> CopyReceipt:
    plan = msgspec.json.decode(order.plan, type=Plan)
    plan = msgspec.structs.replace(plan, output=msgspec.structs.replace(plan.output, copy_to=str(into)))
    async with GrantedStore(order.endpoint, order.get) as store:
        return await copy_outputs(store, plan, Access(user_logins=False))
