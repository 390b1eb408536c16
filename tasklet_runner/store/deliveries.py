"""What of a plan is handed over, and where below the results it stands: pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from tasklet_runner.plan.types import Kind, Layout, Plan
from tasklet_runner.store.protocol import CommitRecord
from tasklet_runner.store.targets import targets


@dataclass(frozen=True)
class Delivery:
    """The outputs of a stage. `directory`: below the results, empty for the results themselves; `alone`: the stage has
    one chunk, whose stdout needs no number.
    """

    stage: str
    directory: str
    layout: Layout
    alone: bool = False

    def targets(self, record: CommitRecord) -> Iterator[tuple[str, str]]:
        """(object key, path below the results) of each visible object of a chunk. Raises ResultsError for a name that
        could leave them.
        """
        for key, path in targets(record, self.layout):
            name = "stdout" if self.alone and path == "0.stdout" else path
            yield key, f"{self.directory}/{name}" if self.directory else name


def deliveries(plan: Plan) -> tuple[Delivery, ...]:
    """Of a Job its first stage, and its aggregate in a directory of its name; of a TaskGraph the tasks that nobody
    reads: one as it is, several in directories of their names.
    """
    layout = plan.output.layout
    if plan.kind is Kind.JOB:
        first, *later = plan.stages
        rest = (Delivery(stage.name, stage.name, Layout.BY_PATH, alone=True) for stage in later)
        return (Delivery(first.name, "", layout), *rest)
    sinks = plan.sinks
    return tuple(Delivery(stage.name, "" if len(sinks) == 1 else stage.name, layout) for stage in sinks)
