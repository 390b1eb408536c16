"""The frames of one slot in the order in which they came, and what some of them must have before they can run: inputs
that are fetched, a /durable that is restored.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import islice

from tasklet_runner.member.checkpoints import CheckpointShelf
from tasklet_runner.member.fetching import Intake, Pantry
from tasklet_runner.member.frames import Frame, Heading
from tasklet_runner.member.slot_wire import fetched_path
from tasklet_runner.member.upkeep import Attempt, Upkeep
from tasklet_runner.wire.programs import Outcome, Result
from tasklet_runner.wire.work import Checkpointed, Results, encode

MAX_QUEUED_BYTES = 32 * 1024 * 1024
"""So much may wait for one slot; then its member reads no further from the holder."""

MAX_QUEUED_FRAMES = 256


@dataclass(frozen=True)
class Supplies:
    """Of the lease that a member works for at this moment: where fetched inputs stand, and checkpoints."""

    pantry: Pantry
    shelf: CheckpointShelf


class Backlog:
    """Frames that wait or run. `on_due`: called when a frame may have become due without anyone's asking."""

    def __init__(self, slot: int, supplies: Callable[[], Supplies], on_due: Callable[[], None]) -> None:
        self._slot = slot
        self._supplies = supplies
        self._on_due = on_due
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._room = asyncio.Event()
        self._sequence = 0
        self._aside: set[asyncio.Task[None]] = set()

    @property
    def first(self) -> Frame | None:
        """The frame that runs, or that will run next."""
        return self._frames[0] if self._frames else None

    async def until_empty(self) -> None:
        """Wait until no frame waits or runs."""
        while self._frames:
            self._room.clear()
            await self._room.wait()

    async def until_room(self) -> None:
        """Wait while too much is queued."""
        while self._bytes > MAX_QUEUED_BYTES or len(self._frames) >= MAX_QUEUED_FRAMES:
            self._room.clear()
            await self._room.wait()

    def add(self, frame: Frame) -> None:
        """Number the frame and put it behind all others."""
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF or 1
        frame.sequence = self._sequence
        if (heading := frame.heading()) is not None:
            self._supply(frame, heading)
        self._frames.append(frame)
        self._bytes += len(frame.data)

    def due(self) -> list[Frame]:
        """What the slot's process should be sent now. Begins with what the first frame that waits for something needs.

        Two frames: one that runs, and one that waits in the slot so that it never idles between two.
        """
        due = []
        for frame in list(islice(self._frames, 2)):
            if frame.sent:
                continue
            if (needed := frame.waits_for) is not None:
                # Those behind it wait too, as frames keep their order; nor do they fetch: an input asks for room only
                # when all before it in this slot have theirs, so that no two can wait for each other. There is one
                # /durable in a slot, so it is another's until no frame stands before this one.
                if needed is frame.intake or frame is self.first:
                    needed.start(lambda frame=frame: self._taken_in(frame))  # type: ignore[misc]
                break
            frame.sent = True
            due.append(frame)
        return due

    def done(self, frame: Frame) -> None:
        """The frame needs nothing any more, and if it ran, the slot rests."""
        self._frames.remove(frame)
        self._bytes -= len(frame.data)
        self._forget(frame, resting=True)
        self._room.set()

    def abandon(self, sink: object) -> bool:
        """Forget what this sink has sent and no process has yet; True when one of its frames is with a process."""
        for frame in [frame for frame in self._frames if frame.sink is sink and not frame.sent]:
            self.done(frame)
        return any(frame.sink is sink for frame in self._frames)

    def take_all(self) -> list[Frame]:
        """All frames, which are forgotten here. Nothing of the slot runs any more."""
        frames = list(self._frames)
        self._frames.clear()
        self._bytes = 0
        for frame in frames:
            self._forget(frame, resting=True)
        self._room.set()
        return frames

    def end_errands(self) -> None:
        """Fetch nothing more of what is queued now, and keep no more checkpoints; the slot may still run."""
        for frame in self._frames:
            self._forget(frame, resting=False)

    async def close(self) -> None:
        """Forget all frames; returns when nothing that was fetched for them is left."""
        self.take_all()
        tasks = list(self._aside)
        for task in tasks:
            # Once: a second cancellation would break off the clearing up after the first.
            if not task.cancelling():
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _supply(self, frame: Frame, heading: Heading) -> None:
        supplies = self._supplies()
        if heading.fetch:
            path = fetched_path(supplies.pantry.directory, self._slot, frame.sequence)
            frame.intake = Intake(supplies.pantry, path, heading.fetch)
        if heading.durable is not None:

            def tell(message: Checkpointed) -> Awaitable[None]:
                return frame.sink.deliver(encode(message))

            attempt = Attempt(heading.index, heading.attempt, heading.durable, tell)
            frame.upkeep = Upkeep(supplies.shelf, attempt, self._slot, frame.sequence)

    def _taken_in(self, frame: Frame) -> None:
        needed = frame.waits_for
        if needed is not None and (fault := needed.fault) is not None:
            self.done(frame)
            results = tuple(Result(task.index, task.attempt, Outcome(fault=fault)) for task in frame.tasks())
            answer = encode(Results(self._slot, frame.head.frame, results, done=True))
            self._set_aside(asyncio.create_task(_deliver(frame, answer)))
        self._on_due()

    def _forget(self, frame: Frame, *, resting: bool) -> None:
        if frame.intake is not None and (task := frame.intake.leave()) is not None:
            self._set_aside(task)
        if frame.upkeep is not None and (task := frame.upkeep.leave(resting=resting)) is not None:
            self._set_aside(task)

    def _set_aside(self, task: asyncio.Task[None]) -> None:
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)


async def _deliver(frame: Frame, answer: bytes) -> None:
    await frame.sink.deliver(answer)
