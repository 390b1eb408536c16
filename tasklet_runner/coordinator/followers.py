"""Tells members which partitions they fetch ahead; who does is decided in `plan.following`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasklet_runner.coordinator.announcing import queue_of
from tasklet_runner.coordinator.handles import Handle
from tasklet_runner.coordinator.partitions import Generation
from tasklet_runner.plan.following import assign
from tasklet_runner.plan.types import Stage
from tasklet_runner.wire.work import Follow


@dataclass
class _Told:
    """What was told of one production: when it changes, its followers are told again."""

    endpoint: str
    grant: str
    followers: tuple[Handle, ...]


class Followers:
    """Tells members what to follow. All productions that the same stages could read share one assignment, so that the
    parts of a partition meet on one member, whoever produced them.
    """

    def __init__(self) -> None:
        self._told: dict[Generation, _Told] = {}
        self._assigned: dict[tuple[object, ...], dict[int, str]] = {}

    def tell(self, read: Mapping[Generation, Stage], handles: Iterable[Handle]) -> None:
        """Called often; says nothing when nothing has changed. `read`: productions that are announced, and a stage that
        will read each.
        """
        for generation in [told for told in self._told if told not in read]:
            self._end(self._told.pop(generation))
        members = list(handles)
        for generation, reader in read.items():
            if generation.announcing is not None and generation.announcing.begun and generation.store.serves:
                self._update(generation, reader, [handle for handle in members if _fits(handle, reader)])

    def _update(self, generation: Generation, reader: Stage, fitting: list[Handle]) -> None:
        before = self._told.get(generation)
        if generation.whole:
            # Who begins now would come too late to save anything.
            known = before.followers if before is not None else ()
            fitting = [handle for handle in fitting if handle in known]
        now = _Told(*generation.store.get_grant(), tuple(fitting))
        if now == before:
            return
        if before is not None and before.endpoint != now.endpoint:
            self._end(before)
        elif before is not None:
            self._end(before, but=fitting)
        self._told[generation] = now
        queues = self._queues(generation, reader, fitting)
        for handle in fitting:
            handle.post(Follow(now.endpoint, now.grant, queues.get(handle.member.name, ())))

    def _queues(self, generation: Generation, reader: Stage, fitting: list[Handle]) -> dict[str, tuple[str, ...]]:
        shared = reader.lease, generation.partitions
        slots = {handle.member.name: len(handle.slots) for handle in fitting}
        if not generation.whole:
            self._assigned[shared] = assign(generation.partitions, slots, self._assigned.get(shared, {}))
        generation.followed = self._assigned.get(shared, {})
        queues: dict[str, list[str]] = {}
        for partition, member in generation.followed.items():
            queues.setdefault(member, []).append(queue_of(generation.stage, partition))
        return {member: tuple(some) for member, some in queues.items()}

    def _end(self, told: _Told, but: Iterable[Handle] = ()) -> None:
        kept = set(but)
        for handle in told.followers:
            if handle not in kept and not handle.closed:
                handle.post(Follow(told.endpoint, "", ()))


def _fits(handle: Handle, reader: Stage) -> bool:
    if handle.closed or handle.draining or handle.group.key.terms != reader.lease:
        return False
    wanted = reader.lease.requirements
    return handle.group.key.requirements == wanted or handle.satisfies(wanted)
