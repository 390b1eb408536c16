"""How the stages of a run stand."""

import time
from dataclasses import dataclass, field

import msgspec

from tasklet_runner.coordinator.caching import StageCache
from tasklet_runner.coordinator.lanes import StageRun
from tasklet_runner.coordinator.progress import StageIndexes, StageProgress, StageState
from tasklet_runner.wire.faults import Fault


@dataclass
class Board:
    """Which stages run, how each stands, and which are done. `before`: what is known of stages that do not run, since
    an earlier run did them or one that they need has failed.
    """

    active: list[StageRun] = field(default_factory=list)
    latest: dict[str, StageRun] = field(default_factory=dict)
    before: dict[str, StageProgress] = field(default_factory=dict)
    caches: dict[str, StageCache] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    began: dict[str, float] = field(default_factory=dict)
    ended: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def skip(self, name: str) -> None:
        """A stage that this one needs has failed; its chunks, at least one, are skipped."""
        self.before[name] = StageProgress(name=name, state=StageState.SKIPPED, total=1, skipped=1)
        self.done.add(name)

    def fail(self, name: str, fault: Fault) -> None:
        """What this stage reads cannot be had any more."""
        if name in self.latest:
            self.latest[name].end_with(fault)
        else:
            self.skip(name)

    def failed(self, name: str) -> bool:
        """True when what needs this stage cannot run."""
        if name in self.latest:
            return self.latest[name].failed_too_much
        return self.before[name].state is not StageState.SUCCEEDED

    def indexes(self, name: str) -> StageIndexes:
        """Which chunks of a stage that runs, or ran, are done."""
        return self.latest[name].indexes() if name in self.latest else StageIndexes()

    def progress(self, name: str) -> StageProgress:
        """The counts of a stage."""
        if name not in self.latest:
            return self.before.get(name, StageProgress(name=name))
        began, ended = self.began.get(name, -1.0), self.ended.get(name, -1.0)
        return msgspec.structs.replace(self.latest[name].progress(), began=began, ended=ended)
