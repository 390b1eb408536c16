"""All members of a run: the groups, what their members say, and who works for which lane."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec

from tasklet_runner.coordinator.dispatch import Dispatcher
from tasklet_runner.coordinator.groups import GroupKey, LeaseGroup
from tasklet_runner.coordinator.handles import Handle
from tasklet_runner.coordinator.lanes import Lane, StageRun
from tasklet_runner.coordinator.programs import ReadyProgram
from tasklet_runner.coordinator.results import ResultTaker
from tasklet_runner.coordinator.sharing import CodeSharing
from tasklet_runner.coordinator.sizing import members_wanted
from tasklet_runner.coordinator.surroundings import Surroundings
from tasklet_runner.fabric.protocol import Receipt
from tasklet_runner.plan.types import LeaseTerms, Plan, Stage
from tasklet_runner.wire.errors import LeaseGridError, ProtocolError
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.work import (
    Blob,
    Checkpointed,
    Draining,
    Ended,
    NotRun,
    Prepared,
    PrepareFailed,
    Refused,
    Results,
    Stored,
    ToHolder,
)

LINGER_SECONDS = 1.0
"""Members that have nothing to do any more, but that the next wave can use, are kept so long: its start is often near,
and a member that was given back has to be reset, bound and prepared again.
"""


@dataclass(frozen=True)
class Ahead:
    """A stage of the next wave: what members prepare before it can run, and how many chunks it has (-1: unknown)."""

    stage: Stage
    number: int
    program: ReadyProgram
    chunks: int


class Workforce:
    """Hears of every member (it is the groups' `GroupEvents`) and gives all of them work. `ahead`: what will be needed
    after what runs.
    """

    def __init__(self, plan: Plan, surroundings: Surroundings, dispatcher: Dispatcher, results: ResultTaker) -> None:
        self.groups: dict[GroupKey, LeaseGroup] = {}
        self.notices: list[str] = []
        self.receipts: list[Receipt] = []
        self.ahead: list[Ahead] = []
        self._lingering: dict[GroupKey, float] = {}
        self.on_broken: Callable[[BaseException], None] = lambda _: None
        self.on_members: Callable[[], None] = lambda: None
        self._plan = plan
        self._surroundings = surroundings
        self._dispatcher = dispatcher
        self._results = results
        self._sharing = CodeSharing(surroundings.code)
        self._runs: list[StageRun] = []
        self._unfit: dict[tuple[LeaseTerms, int], Fault] = {}

    @property
    def waiting_because(self) -> frozenset[str]:
        """Why chunks wait, if the fabric said so or a long compilation is under way."""
        reasons = {group.waiting_because for group in self.groups.values() if group.waiting_because}
        if self._sharing.compiles_long:
            reasons.add("a member compiles the tasklet's module, once")
        return frozenset(reasons)

    def begin(self, run: StageRun) -> None:
        """A stage starts: members prepare its program."""
        unfit = self._unfit.get((run.stage.lease, run.number))
        if unfit is not None:
            run.end_with(_about(run, unfit))
            return
        self._runs.append(run)
        for handle in self._dispatcher.handles:
            self._prepare(handle)

    def end(self, run: StageRun) -> None:
        """A stage is over."""
        self._dispatcher.forget(run)
        if run in self._runs:
            self._runs.remove(run)

    def plan_members(self, runs: Iterable[StageRun], later: Iterable[GroupKey] = ()) -> None:
        """Want as many members as the lanes can use, and one of each that is needed `later`. Called often; changes
        nothing when nothing has changed.
        """
        wanted = {key: 1 for key in later if key in self.groups}
        needed: dict[GroupKey, int] = {}
        minimum: dict[GroupKey, int] = {}
        for run in runs:
            for lane in run.lanes.values():
                self._dispatcher.serve(lane)
                key = self._key_for(lane)
                if key is not None:
                    needed[key] = needed.get(key, 0) + self._members_for(lane, key)
                    minimum[key] = max(minimum.get(key, 1), run.stage.min_parallelism)
        for key in needed:
            self._group(key, minimum[key])
        for key, group in self.groups.items():
            group.want(self._kept(group, max(needed.get(key, 0), wanted.get(key, 0))))

    async def close(self, reason: str) -> None:
        """Release every lease; the receipts stand in `receipts`."""
        groups, self.groups = list(self.groups.values()), {}
        await asyncio.gather(*(group.close(reason) for group in groups))
        for group in groups:
            self.receipts += group.receipts

    def joined(self, handle: Handle) -> None:
        """A member is connected: it gets the code key and the programs."""
        self._sharing.welcome(handle)
        self._prepare(handle)
        self._dispatcher.add(handle)
        self.on_members()

    def received(self, handle: Handle, message: ToHolder) -> None:
        """One message of a member."""
        match message:
            case Results():
                self._dispatcher.take_results(handle, message)
            case Stored():
                self._results.take_stored(handle, message)
            case Checkpointed():
                self._results.checkpoints.take(handle, message, self.noticed)
            case NotRun():
                self._dispatcher.take_not_run(handle, message)
            case Prepared():
                self._sharing.take_prepared(handle, message)
                self._prepare(handle)
            case Blob():
                self._sharing.take_code(handle, message)
            case PrepareFailed():
                self._prepare_failed(handle, message)
            case Draining():
                handle.draining = True
            case Ended() | Refused():
                handle.group.end(handle, message.reason, died=False)
            case _:
                raise ProtocolError(f"{handle.member.name} sends {type(message).__name__} out of turn")
        self._dispatcher.pump()

    def left(self, handle: Handle, reason: str, *, died: bool) -> None:
        """A member is gone."""
        self._dispatcher.remove(handle, f"the member {handle.member.name} was lost: {reason}", died=died)
        self._sharing.forget(handle)
        self._dispatcher.pump()

    def impossible(self, group: LeaseGroup, error: LeaseGridError) -> None:
        """No pool can ever have such members: the chunks that need them fail."""
        fault = Fault(kind=FaultKind.UNSUPPORTED, message=error.cause, remedy=error.remedy)
        for run in self._runs:
            for lane in run.lanes.values():
                if self._key_for(lane) == group.key:
                    self._fail_lane(lane, fault)

    def noticed(self, text: str) -> None:
        """Something that a person may want to know, once."""
        if text not in self.notices:
            self.notices.append(text)

    def broken(self, error: BaseException) -> None:
        """A group cannot go on: the run ends."""
        self.on_broken(error)

    def fail_impossible(self) -> None:
        """Chunks that were queued after it was known that nobody can run them fail too."""
        for group in self.groups.values():
            if group.impossible is not None:
                self.impossible(group, group.impossible)

    def _fail_lane(self, lane: Lane, fault: Fault) -> None:
        if lane.requirements == lane.run.stage.lease.requirements:
            lane.run.end_with(fault)
            return
        chunks = list(lane.queue)
        lane.queue.clear()
        lane.run.left(len(chunks), sum(chunk.size for chunk in chunks))
        for chunk in chunks:
            self._results.fail(lane, chunk, fault)

    def _prepare(self, handle: Handle) -> None:
        now = [(run.stage.lease, run.number, run.program) for run in self._runs]
        # What the next wave runs is prepared while this one runs, but never before what this one needs.
        ready = all(number in handle.prepared for terms, number, _ in now if terms == handle.group.key.terms)
        soon = [(one.stage.lease, one.number, one.program) for one in self.ahead] if ready else []
        for terms, number, program in (*now, *soon):
            if handle.group.key.terms == terms:
                self._sharing.prepare(handle, number, program)

    def _prepare_failed(self, handle: Handle, message: PrepareFailed) -> None:
        if message.fault.kind is FaultKind.IO_ERROR:
            handle.group.end(handle, message.fault.message, died=True)
            return
        terms = handle.group.key.terms
        self._unfit[terms, message.program_id] = message.fault
        for run in self._runs:
            if (run.stage.lease, run.number) == (terms, message.program_id):
                run.end_with(_about(run, message.fault))

    def _key_for(self, lane: Lane) -> GroupKey | None:
        """The group that gets members for a lane; None: those of the stage's own group can run it, or it is not known
        yet.
        """
        own = GroupKey(lane.run.stage.lease, lane.requirements)
        default = GroupKey(lane.run.stage.lease, lane.run.stage.lease.requirements)
        if own == default or own in self.groups:
            return own
        held = self.groups.get(default)
        if held is None or not held.handles:
            alone = default not in {
                GroupKey(other.run.stage.lease, other.requirements) for other in lane.run.lanes.values()
            }
            return own if alone else None
        return None if any(handle.satisfies(lane.requirements) for handle in held.handles.values()) else own

    def _members_for(self, lane: Lane, key: GroupKey) -> int:
        group = self.groups.get(key)
        remaining = lane.remaining
        if remaining >= 0 and key.requirements == lane.run.stage.lease.requirements:
            remaining += sum(
                other.remaining
                for other in lane.run.lanes.values()
                if other is not lane and self._key_for(other) is None
            )
        return members_wanted(
            lane.run.stage.parallelism, remaining, lane.requirements.slots, group.member_slots if group else 0
        )

    def _kept(self, group: LeaseGroup, needed: int) -> int:
        """What is wanted of a group of which the wave that runs needs so many."""
        coming = sum(
            members_wanted(one.stage.parallelism, one.chunks, group.key.requirements.slots, group.member_slots)
            for one in self.ahead
            if GroupKey(one.stage.lease, one.stage.lease.requirements) == group.key
        )
        kept = min(group.wanted, coming)
        if kept <= needed:
            self._lingering.pop(group.key, None)
            return needed
        now = time.monotonic()
        return kept if now - self._lingering.setdefault(group.key, now) < LINGER_SECONDS else needed

    def _group(self, key: GroupKey, minimum: int) -> LeaseGroup:
        group = self.groups.get(key)
        if group is None:
            label = (self._plan.namespace, f"job {self._plan.name}")
            group = self.groups[key] = LeaseGroup(key, self._surroundings, self, label)
            group.minimum = minimum
        return group


def _about(run: StageRun, fault: Fault) -> Fault:
    """A member knows the program by its hash; people know it by where it came from."""
    where = run.stage.tasklet.source.uri or f"the inline source of {run.stage.name}"
    return msgspec.structs.replace(fault, message=f"{where}: {fault.message}")
