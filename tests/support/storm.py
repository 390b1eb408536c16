"""Thousands of connections to a server, made by a process of its own; and what the server's process costs meanwhile."""

import asyncio
import contextlib
import json
import resource
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

PATIENCE_SECONDS = 90.0
SPARE_DESCRIPTORS = 500

BEGUN, UP = b"begun\n", b"up\n"
"""What a storm's process says: it calls from now on; all its calls have been tried."""


@dataclass(frozen=True)
class Storm:
    """`count` connections from the address `source`, each of which says `said` and then `padding` bytes. `answered`:
    it is up when each has heard something, else when each stands. `sips`: each reads a byte a second, and no more.
    `repeats`: each says it again when it has heard an answer. `{n}` in what is said: a number from 0 to 7.
    """

    port: int
    count: int
    said: str = ""
    padding: int = 0
    source: str = "127.0.0.2"
    answered: bool = True
    sips: bool = False
    repeats: bool = False


@dataclass
class Raging:
    """A storm under way, from its first connection on. `is_up`: everybody stands, or was turned away. `outcomes` is
    there when it is over: how many heard what, and were closed or not.
    """

    process: asyncio.subprocess.Process
    is_up: bool = False
    outcomes: dict[str, int] = field(default_factory=dict)

    async def up(self) -> None:
        """Wait until it is up."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            self.is_up = await self.process.stdout.readline() == UP
        assert self.is_up, "the storm did not come up"

    async def closed(self) -> bool:
        """Wait until the server has closed every connection; False when that takes too long."""
        assert self.process.stdout is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                self.outcomes = json.loads(await self.process.stdout.readline())
        return bool(self.outcomes)

    def heard(self, status: int | str) -> int:
        """How many heard this status first (`silent`: nothing)."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.startswith(f"{status} "))

    def left_open(self) -> int:
        """How many the server had not closed."""
        return sum(count for outcome, count in self.outcomes.items() if outcome.endswith(" open"))


@contextlib.asynccontextmanager
async def raging(storm: Storm) -> AsyncIterator[Raging]:
    """The storm, from its beginning; over after the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.storm_child", json.dumps(asdict(storm))),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    under_way = Raging(process)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await process.stdout.readline() == BEGUN
        yield under_way
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                rest = (await process.stdout.read()).splitlines(keepends=True)
                await process.wait()
            if rest and rest[-1] != UP:
                under_way.outcomes = json.loads(rest[-1])
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


@contextlib.contextmanager
def free_door() -> Iterator[socket.socket]:
    """A socket that is bound to a port of loopback which nobody else has."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        yield door


def most_connections(wanted: int) -> int:
    """As many of them as a process here may open."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return wanted if hard == resource.RLIM_INFINITY else max(1, min(wanted, hard - SPARE_DESCRIPTORS))


def memory_of(pid: int) -> tuple[int, int]:
    """Resident bytes of a process, now and at most since it began."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["VmRSS"].split()[0]) * 1024, int(fields["VmHWM"].split()[0]) * 1024


def descriptors_of(pid: int) -> int:
    """Open descriptors of a process; -1 where nobody may look (it cannot be dumped, and we are not root)."""
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except PermissionError:
        return -1


def connections_at(port: int) -> int:
    """Connections that a server here has accepted at this port and not closed, by the kernel's table."""
    wanted, states = f":{port:04X}", ("01", "08")
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    # An inode says that a process has it: what nobody has taken from the queue has none yet.
    return sum(row[1].endswith(wanted) and row[3] in states and row[9] != "0" for row in rows)


async def until_quiet(pid: int, port: int, descriptors: int) -> None:
    """Wait until the server has no more connections and descriptors than before."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while connections_at(port) or descriptors_of(pid) > descriptors:  # noqa: ASYNC110 - the kernel sets no event
            await asyncio.sleep(0.1)
