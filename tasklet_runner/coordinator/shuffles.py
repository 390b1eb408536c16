"""The shuffled stages of a run: their productions, who reads them, and when their leases go back."""

import asyncio
from collections.abc import Collection, Iterable

from tasklet_runner.coordinator.announcing import Announcing
from tasklet_runner.coordinator.followers import Followers
from tasklet_runner.coordinator.handles import Handle
from tasklet_runner.coordinator.partition_stores import PartitionStore, StoreEvents, StoreOrder
from tasklet_runner.coordinator.partitions import Generation
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.plan.types import Plan, ShuffleMode, Stage, StageInput

MAX_LOSSES = 3
"""A stage whose store is lost so often has failed."""


def readers_of(plan: Plan, name: str) -> tuple[str, ...]:
    """The stages that read the outputs of a stage."""
    return tuple(
        stage.name for stage in plan.stages if isinstance(stage.input, StageInput) and name in stage.input.stages
    )


def shuffled_inputs(plan: Plan, stage: Stage) -> tuple[str, ...]:
    """The shuffled stages that a stage reads, in its order; it reads either those alone, or none."""
    if not isinstance(stage.input, StageInput):
        return ()
    return tuple(name for name in stage.input.stages if plan.stage(name).shuffle is not None)


class Shuffles:
    """The latest production of each shuffled stage."""

    def __init__(self, plan: Plan, surroundings: Surroundings, events: StoreEvents) -> None:
        self.receipts: list[Receipt] = []
        self.impossible = False
        self._plan = plan
        self._surroundings = surroundings
        self._events = events
        self._open: dict[str, Generation] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._followers = Followers()

    @property
    def leased(self) -> int:
        """Members that hold partitions."""
        return sum(generation.store.leased for generation in self._open.values())

    @property
    def leases(self) -> int:
        """Leases of stores."""
        return sum(generation.store.leased > 0 for generation in self._open.values())

    @property
    def waiting_because(self) -> frozenset[str]:
        """Why stores are not there yet, or at the moment."""
        reasons = (generation.store.waiting_because for generation in self._open.values())
        return frozenset(reason for reason in reasons if reason)

    @property
    def lacks_capacity(self) -> bool:
        """True while the fabric says why it has no member for a store."""
        return any(generation.store.lacks_capacity for generation in self._open.values())

    def begin(self, stage: Stage) -> Generation:
        """A new production, with a lease of its own; that of the last one is given back."""
        shuffle = stage.shuffle
        if shuffle is None:
            raise ValueError(f"{stage.name} is not shuffled")
        self._release(stage.name, "Lost")
        order = StoreOrder(stage.name, shuffle, stage.lease, self._plan.namespace, self._plan.name)
        store = PartitionStore(order, self._surroundings, self._events)
        generation = self._open[stage.name] = Generation(stage.name, shuffle.partitions, store)
        if shuffle.mode is ShuffleMode.STREAM and readers_of(self._plan, stage.name):
            announcer = self._surroundings.open_announcer()
            generation.announcing = Announcing(stage.name, shuffle.partitions, store, announcer)
            generation.announcing.start(self._events)
        return generation

    def follow(self, handles: Iterable[Handle]) -> None:
        """Have members fetch ahead what stages in mode Stream commit. Called often."""
        self._followers.tell(
            {
                generation: self._plan.stage(readers_of(self._plan, name)[0])
                for name, generation in self._open.items()
                if generation.announcing is not None
            },
            handles,
        )

    def standing(self, name: str) -> Generation | None:
        """The production that can be read; None while there is none, or when its store is lost or given back."""
        generation = self._open.get(name)
        stands = generation is not None and generation.whole and not generation.store.ended.is_set()
        return generation if stands else None

    def last(self, name: str) -> Generation | None:
        """The latest production whose lease was not given back, be it lost or not."""
        return self._open.get(name)

    def release_unread(self, done: Collection[str]) -> None:
        """Give back, without waiting, the leases whose partitions nobody will read any more."""
        for name in list(self._open):
            if name in done and all(reader in done for reader in readers_of(self._plan, name)):
                self._release(name, "Finished")

    async def close(self, reason: str) -> None:
        """Give all back; the receipts stand in `receipts`."""
        for name in list(self._open):
            self._release(name, reason)
        if self._closing:
            await asyncio.wait(self._closing)

    def _release(self, name: str, reason: str) -> None:
        generation = self._open.pop(name, None)
        if generation is not None:
            task = asyncio.get_running_loop().create_task(self._close(generation, reason))
            self._closing.add(task)

    async def _close(self, generation: Generation, reason: str) -> None:
        store = generation.store
        if generation.announcing is not None:
            await generation.announcing.close()
        await store.close(reason)
        self.receipts += store.receipts
        self.impossible |= store.impossible is not None
