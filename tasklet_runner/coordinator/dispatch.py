"""Puts frames of chunks into slots. All of it is plain, synchronous book-keeping: no task, lock or future per chunk."""

from collections.abc import Iterator

from tasklet_runner.coordinator import sizing
from tasklet_runner.coordinator.handles import Frame, Handle, Slot
from tasklet_runner.coordinator.lanes import Lane, StageRun
from tasklet_runner.coordinator.results import ResultTaker
from tasklet_runner.wire.programs import Task
from tasklet_runner.wire.work import Discard, NotRun, Results, Run


class Dispatcher:
    """Lanes on one side, slots on the other. `paused` while the store does not keep up or too few workers are there."""

    def __init__(self, results: ResultTaker) -> None:
        self._results = results
        self._lanes: list[Lane] = []
        self._idle: dict[Slot, None] = {}
        self._half: dict[Slot, None] = {}
        self._saving: dict[Handle, None] = {}
        self.handles: dict[Handle, None] = {}
        self.paused = False

    @property
    def working(self) -> bool:
        """True while some slot runs chunks."""
        return any(lane.busy for lane in self._lanes)

    def serve(self, lane: Lane) -> None:
        """Take chunks from this lane too."""
        if lane not in self._lanes:
            self._lanes.append(lane)

    def forget(self, run: StageRun) -> None:
        """The stage is over; what members still hold of it is not wanted."""
        self._lanes = [lane for lane in self._lanes if lane.run is not run]
        for handle in self.handles:
            for index, attempt in [key for key, held in handle.held.items() if held.lane.run is run]:
                del handle.held[index, attempt]
                handle.post(Discard(index, attempt))

    def add(self, handle: Handle) -> None:
        """A new member's slots are idle."""
        self.handles[handle] = None
        for slot in handle.slots:
            self._idle[slot] = None

    def remove(self, handle: Handle, reason: str, *, died: bool) -> None:
        """The member is gone: its chunks go elsewhere at once. `died`: undrained, so what it ran may be the cause."""
        self.handles.pop(handle, None)
        self._saving.pop(handle, None)
        for slot in handle.slots:
            self._idle.pop(slot, None)
            self._half.pop(slot, None)
            frames = list(slot.frames.values())
            slot.frames.clear()
            self._leave(slot)
            for frame in reversed(frames):
                for position, chunk in reversed(list(enumerate(frame.chunks.values()))):
                    running = died and frame is frames[0] and position == 0
                    self._results.elsewhere(frame.lane, chunk, reason, died=running)
        for held in handle.held.values():
            self._results.elsewhere(held.lane, held.chunk, reason, died=False)
        handle.held.clear()

    def take_results(self, handle: Handle, message: Results) -> None:
        """Outcomes; with the last of a frame its slot is free for the next."""
        slot, frame = _frame(handle, message.slot, message.frame)
        if slot is None or frame is None:
            self._discard_late(handle, message)
            return
        self._results.take(handle, frame, message.results)
        if message.done and not handle.closed:
            self._end_frame(slot, frame)

    def take_not_run(self, handle: Handle, message: NotRun) -> None:
        """Tasks that never started go back to the head of their lane."""
        slot, frame = _frame(handle, message.slot, message.frame)
        if slot is not None and frame is not None:
            self._end_frame(slot, frame)

    def pump(self) -> None:
        """Fill the slots as far as there are chunks."""
        if self.paused:
            return
        for handle in [saving for saving in self._saving if saving.saving_for and not saving.saving_for.queue]:
            self._save(handle, None)
        hungry = [lane for lane in self._lanes if lane.queue and lane.run.readable]
        while hungry:
            # Chunks that need most slots first, then whoever has fewest: a stage that came early takes no more than
            # its share of the slots that become free.
            lane = min(hungry, key=lambda other: (-other.requirements.slots, other.busy))
            slot = self._pick(lane)
            if slot is not None:
                self._send(lane, slot)
            if slot is None or not lane.queue:
                hungry.remove(lane)

    def _pick(self, lane: Lane) -> Slot | None:
        if lane.may_grow:
            slot = self._pick_large(lane) if lane.requirements.slots > 1 else self._pick_idle(lane)
            if slot is not None:
                return slot
        if self._may_wait(lane) and not self._starving(lane):
            return next((slot for slot in self._half if slot.lane is lane and not slot.handle.draining), None)
        return None

    def _may_wait(self, lane: Lane) -> bool:
        """True when a frame may stand behind another at a slot."""
        if sizing.frames_in_flight(lane.mean) > 1:
            return True
        # What is fetched comes while the frame before it runs; the last chunks go to whichever slot is free first.
        return bool(lane.run.reads) and len(lane.queue) >= lane.busy

    def _pick_idle(self, lane: Lane) -> Slot | None:
        for slot in self._idle:
            if slot.handle.saving_for is None and self._fits(slot.handle, lane):
                return slot
        return None

    def _pick_large(self, lane: Lane) -> Slot | None:
        """Several slots of one member. Where none has enough idle ones, one member saves them up."""
        fitting = [handle for handle in self.handles if self._fits(handle, lane)]
        for handle in fitting:
            free = [slot for slot in handle.slots if slot in self._idle]
            if len(free) >= lane.requirements.slots and handle.saving_for in (None, lane):
                self._reserve(free[: lane.requirements.slots])
                self._save(handle, None)
                return free[0]
        if not any(handle.saving_for is lane for handle in fitting):
            unsaved = [handle for handle in fitting if handle.saving_for is None]
            if unsaved:
                self._save(max(unsaved, key=lambda handle: sum(slot in self._idle for slot in handle.slots)), lane)
        return None

    def _save(self, handle: Handle, lane: Lane | None) -> None:
        handle.saving_for = lane
        if lane is None:
            self._saving.pop(handle, None)
        else:
            self._saving[handle] = None

    def _reserve(self, slots: list[Slot]) -> None:
        primary, companions = slots[0], slots[1:]
        primary.companions = companions
        for companion in companions:
            companion.reserved = True
            self._idle.pop(companion)

    def _fits(self, handle: Handle, lane: Lane) -> bool:
        if handle.draining or handle.closed or lane.run.number not in handle.prepared:
            return False
        return handle.group.key.requirements == lane.requirements or handle.satisfies(lane.requirements)

    def _starving(self, lane: Lane) -> bool:
        others = (other for other in self._lanes if other is not lane and other.run.readable)
        return any(other.queue and not other.busy and other.may_grow for other in others)

    def _slots_for(self, lane: Lane) -> int:
        slots = len(self._idle) + sum(other.busy for other in self._lanes)
        return min(lane.run.stage.parallelism, slots)

    def _send(self, lane: Lane, slot: Slot) -> None:
        chunks = lane.take(self._slots_for(lane), slot.handle.member.name)
        stride = lane.run.stride
        tasks = []
        for chunk in chunks:
            chunk.attempt += stride
            digest = chunk.blob.digest if chunk.blob else ""
            fetch = lane.run.fetches(chunk.index) if lane.run.reads else ()
            durable = self._results.checkpoints.durable(lane, chunk)
            place = (chunk.path, digest, fetch, durable)
            tasks.append(Task(chunk.index, chunk.attempt, chunk.chunk_id, chunk.input, *place))
        handle = slot.handle
        handle.frames_sent += 1
        blob = chunks[0].blob
        frame = Frame(handle.frames_sent, lane, {chunk.index: chunk for chunk in chunks}, blob)
        if blob is not None:
            handle.lend_input(blob)
        handle.post(Run(slot.number, frame.number, lane.run.number, tuple(tasks)))
        self._enter(slot, frame)

    def _enter(self, slot: Slot, frame: Frame) -> None:
        slot.frames[frame.number] = frame
        if slot.lane is None:
            slot.lane = frame.lane
            frame.lane.busy += 1
        self._idle.pop(slot, None)
        if len(slot.frames) == 1:
            self._half[slot] = None
        else:
            self._half.pop(slot, None)

    def _end_frame(self, slot: Slot, frame: Frame) -> None:
        del slot.frames[frame.number]
        for chunk in reversed(frame.chunks.values()):
            if not frame.lane.run.over:
                frame.lane.put_back(chunk)
        if frame.blob is not None:
            slot.handle.forget_input(frame.blob)
        if slot.frames:
            self._half[slot] = None
            return
        for freed in self._leave(slot):
            if slot.handle in self.handles:
                self._idle[freed] = None

    def _leave(self, slot: Slot) -> Iterator[Slot]:
        """The slot works for nobody any more; with it go the slots that were reserved beside it."""
        self._half.pop(slot, None)
        if slot.lane is not None:
            slot.lane.busy -= 1
            slot.lane = None
        freed = [slot, *slot.companions]
        slot.companions = []
        for companion in freed[1:]:
            companion.reserved = False
        return iter(freed)

    def _discard_late(self, handle: Handle, message: Results) -> None:
        for result in message.results:
            if result.outcome.held_bytes:
                handle.post(Discard(result.index, result.attempt))


def _frame(handle: Handle, slot_number: int, frame_number: int) -> tuple[Slot | None, Frame | None]:
    if slot_number >= len(handle.slots):
        return None, None
    slot = handle.slots[slot_number]
    return slot, slot.frames.get(frame_number)
