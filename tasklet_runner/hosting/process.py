"""The coordinator's own process, forked from a leased member; it never returns into its parent's code."""

import asyncio
import gc
import os
import signal
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import msgspec

from tasklet_runner.fabric.protocol import LeaseView, Receipt
from tasklet_runner.hosting.hosted import run_hosted
from tasklet_runner.hosting.orders import read_order
from tasklet_runner.wire.errors import LeaseGridError, ProtocolError
from tasklet_runner.wire.job_store import Opened, Wrote
from tasklet_runner.wire.jobs import Instruction
from tasklet_runner.wire.queues import CommitPage

EXIT_FENCED = 3
EXIT_TROUBLE = 4
EXIT_UNREADABLE = 5
EXIT_BUG = 1

WORDS = {
    0: "it is done",
    EXIT_FENCED: "another coordinator has taken over, or the job is gone",
    EXIT_TROUBLE: "the job's store or the operator could not be used",
    EXIT_UNREADABLE: "its order, or an answer to it, could not be read: run operator and members of one version",
    EXIT_BUG: "it failed in a way that nobody expected; see the member's log",
}
"""What an exit code means, for people."""

# A coordinator is forked when somebody waits for it: what is imported late elsewhere, and how messages are decoded, it
# has from its member, for whom nobody waits.
for _late in (
    "fsspec.implementations.http",
    "fsspec.implementations.local",
    "tasklet_runner.client.members",
    "tasklet_runner.client.work",
):
    import_module(_late)
for _read in (CommitPage, Instruction, LeaseView, Opened, Receipt, Wrote):
    msgspec.json.Decoder(_read)


def become_coordinator(order: bytes, scratch: Path) -> NoReturn:
    """Run the order (a CoordinatorOrder as MessagePack); ends with the process, whatever happens."""
    status = EXIT_BUG
    try:
        # The member ignores these and waits for others: this process ends at once by either.
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        gc.enable()
        asyncio.run(run_hosted(read_order(order), scratch, _end_fenced))
        status = 0
    except LeaseGridError as error:
        sys.stderr.write(f"coordinator: {error}\n")
        status = EXIT_UNREADABLE if isinstance(error, ProtocolError) else EXIT_TROUBLE
    except BaseException:  # noqa: BLE001 - the edge of this process: what is not foreseen is told, and ends it
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def _end_fenced(why: str) -> None:
    # At once, and without clearing up: what would be cleared up is another's by now.
    sys.stderr.write(f"coordinator: fenced: {why}\n")
    sys.stderr.flush()
    os._exit(EXIT_FENCED)
