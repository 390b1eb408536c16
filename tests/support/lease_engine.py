"""The engine of one namespace beside stand-ins of its members, all in this process: no cluster, no sandboxes."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid.api.pool import InstancePoolSpec
from leasegrid.leasing.binding import Binder
from leasegrid.leasing.engine import LeaseEngine
from leasegrid.leasing.leases import Held, LeaseRecord
from leasegrid.leasing.parts import Disposal, Parts
from leasegrid.leasing.pools import Pool
from leasegrid.leasing.roster import Member, Roster, Shape
from leasegrid.leasing.signing import Signer, SteadyClock
from tasklet_runner.fabric.protocol import LeaseRequest, Receipt
from tasklet_runner.wire.member import Hint, MemberState
from tasklet_runner.wire.signed import public_text
from tests.support.cluster.pretending import doorless_server
from tests.support.cluster.stand_in import House, StandIn
from tests.support.cluster.stand_ins import _settings

POOL = "cpu"
SHAPE = Shape(slots=1, memory=1 << 20, tmpfs=1 << 20, cpu=1000)
PATIENCE_SECONDS = 30.0
HOLDER_KEY = public_text(Ed25519PrivateKey.generate())


class Books:
    """Ledger, host and planner of an engine that has only its members: nothing is kept, planned or deleted."""

    def __init__(self) -> None:
        self.receipts: dict[str, Receipt] = {}

    def write_down(self, record: LeaseRecord) -> None:
        """See `Ledger`."""

    def close_account(self, record: LeaseRecord, receipt: Receipt) -> None:
        """See `Ledger`."""
        self.receipts[record.uid] = receipt

    async def vanish(self, record: LeaseRecord, silent: Sequence[Held]) -> Sequence[Held]:
        """See `Host`."""
        return silent

    async def dispose(self, record: LeaseRecord, held: Sequence[Held]) -> Disposal:
        """See `Host`."""
        return Disposal()

    def run(self) -> float | None:
        """See `Planner`."""
        return None


@dataclass
class EngineRig:
    """`stand_ins` by the names of their members."""

    engine: LeaseEngine
    books: Books
    house: House
    root: Path
    key: Ed25519PrivateKey
    stand_ins: dict[str, StandIn] = field(default_factory=dict)

    async def add(self, *names: str) -> None:
        """Members of the pool that are ready."""
        for name in names:
            words = [
                "member",
                "--listen",
                f"unix://{self.root}/{name}",
                "--name",
                name,
                "--fabric-key",
                public_text(self.key),
            ]
            stand_in = StandIn(_settings([*words, "--scratch", str(self.root / f"{name}.scratch")]), self.house)
            self.stand_ins[name] = stand_in
            await stand_in.until_ready(None)
            member = Member(name, POOL, SHAPE, f"unix://{self.root}/{name}", 0.0, started=True)
            self.engine.parts.roster.add(member)
            await self.engine.parts.binder.ask(member)
        self.engine.parts.changed()

    def member(self, name: str) -> Member:
        """As the engine knows it."""
        found = self.engine.parts.roster.find(name)
        assert found is not None
        return found

    def lease(self, name: str, **changes: object) -> LeaseRecord:
        """A lease of the pool that wants members from now on."""
        fields = {"holder_key": HOLDER_KEY, "on_empty": "Queue"} | changes
        request = LeaseRequest(request_id=name, **fields)  # type: ignore[arg-type]  # the tests' are of the fields' types
        return self.engine.enter(self.engine.record(f"uid-{name}", request, (POOL,), provisioned=False))

    async def bound(self, name: str, **changes: object) -> LeaseRecord:
        """One that has its members."""
        record = self.lease(name, **changes)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asyncio.shield(record.settled)
        return record

    def hint(self, name: str) -> None:
        """The member says what it is, as it does at each transition."""
        states = self.stand_ins[name].core.states
        identity = states.identity
        self.engine.keeper.hinted(
            Hint(
                member=name, incarnation=identity.incarnation, epoch=states.epoch, state=states.state,
                reason=states.reason,
            )
        )  # fmt: skip

    async def until(self, condition: Callable[[], object], what: str) -> None:
        """Wait until it is so."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not condition():  # noqa: ASYNC110 - members set no event of ours
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"it did not happen: {what}") from None

    async def until_state(self, name: str, state: MemberState) -> None:
        """Wait until a member is in this state by its own word."""
        await self.until(lambda: self.stand_ins[name].core.states.state is state, f"{name} is {state.value}")


@asynccontextmanager
async def engine_rig(*names: str) -> AsyncIterator[EngineRig]:
    """An engine whose pool has these members; everything has ended when the block has."""
    root = Path(tempfile.mkdtemp(prefix="lg"))
    woken, key, books = asyncio.Event(), Ed25519PrivateKey.generate(), Books()
    clock = SteadyClock()
    signer, roster = Signer(key, clock), Roster(asyncio.get_running_loop().time())
    pool = Pool(POOL, InstancePoolSpec(target_size=1, max_size=100), SHAPE)
    parts = Parts({POOL: pool}, roster, Binder(roster, signer), signer, clock, books, books, woken.set)
    engine = LeaseEngine(parts, books)

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(status=404)

    with (root / "records").open("w") as records:
        rig = EngineRig(engine, books, House(doorless_server(serve), records, 0.005), root, key)
        keeping = asyncio.create_task(engine.keeper.run(woken))
        try:
            await rig.add(*names)
            yield rig
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await engine.close()
            await asyncio.gather(*(member.hang_up() for member in roster.all()))
            for stand_in in rig.stand_ins.values():
                stand_in.send(9)
                await stand_in.finished()
            shutil.rmtree(root)
