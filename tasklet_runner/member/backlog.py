"""The frames of one slot in the order in which they came, and the inputs that some of them must fetch first."""

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice

from tasklet_runner.member.fetching import Intake, Pantry
from tasklet_runner.member.frames import Frame
from tasklet_runner.member.slot_wire import fetched_path
from tasklet_runner.wire.programs import Outcome, Result
from tasklet_runner.wire.work import Results, encode

MAX_QUEUED_BYTES = 32 * 1024 * 1024
"""So much may wait for one slot; then its member reads no further from the holder."""

MAX_QUEUED_FRAMES = 256


class Backlog:
    """Frames that wait or run. `on_due`: called when a frame may have become due without anyone's asking."""

    def __init__(self, slot: int, pantry: Callable[[], Pantry], on_due: Callable[[], None]) -> None:
        self._slot = slot
        self._pantry = pantry
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
        if fetches := frame.fetches():
            pantry = self._pantry()
            frame.intake = Intake(pantry, fetched_path(pantry.directory, self._slot, frame.sequence), fetches)
        self._frames.append(frame)
        self._bytes += len(frame.data)

    def due(self) -> list[Frame]:
        """What the slot's process should be sent now. Begins to fetch the input of the first frame that waits for one.

        Two frames: one that runs, and one that waits in the slot so that it never idles between two.
        """
        due = []
        for frame in list(islice(self._frames, 2)):
            if frame.sent:
                continue
            if frame.intake is not None and not frame.intake.ready:
                # Those behind it wait too, as frames keep their order; nor do they fetch: an input asks for room only
                # when all before it in this slot have theirs, so that no two can wait for each other.
                frame.intake.start(lambda frame=frame: self._taken_in(frame))  # type: ignore[misc]
                break
            frame.sent = True
            due.append(frame)
        return due

    def done(self, frame: Frame) -> None:
        """The frame needs nothing any more."""
        self._frames.remove(frame)
        self._bytes -= len(frame.data)
        self._end_intake(frame)
        self._room.set()

    def abandon(self, sink: object) -> bool:
        """Forget what this sink has sent and no process has yet; True when one of its frames is with a process."""
        for frame in [frame for frame in self._frames if frame.sink is sink and not frame.sent]:
            self.done(frame)
        return any(frame.sink is sink for frame in self._frames)

    def take_all(self) -> list[Frame]:
        """All frames, which are forgotten here."""
        frames = list(self._frames)
        self._frames.clear()
        self._bytes = 0
        for frame in frames:
            self._end_intake(frame)
        self._room.set()
        return frames

    def end_intakes(self) -> None:
        """Fetch nothing more of what is queued now."""
        for frame in self._frames:
            self._end_intake(frame)

    async def close(self) -> None:
        """Forget all frames; returns when nothing that was fetched for them is left."""
        self.take_all()
        tasks = list(self._aside)
        for task in tasks:
            # Once: a second cancellation would break off the clearing up after the first.
            if not task.cancelling():
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _taken_in(self, frame: Frame) -> None:
        fault = frame.intake.fault if frame.intake is not None else None
        if fault is not None:
            self.done(frame)
            results = tuple(Result(task.index, task.attempt, Outcome(fault=fault)) for task in frame.tasks())
            answer = encode(Results(self._slot, frame.head.frame, results, done=True))
            self._set_aside(asyncio.create_task(_deliver(frame, answer)))
        self._on_due()

    def _end_intake(self, frame: Frame) -> None:
        if frame.intake is not None and (task := frame.intake.leave()) is not None:
            self._set_aside(task)

    def _set_aside(self, task: asyncio.Task[None]) -> None:
        self._aside.add(task)
        task.add_done_callback(self._aside.discard)


async def _deliver(frame: Frame, answer: bytes) -> None:
    await frame.sink.deliver(answer)
