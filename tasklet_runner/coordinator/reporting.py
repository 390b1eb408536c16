"""How a run stands and how it ended, in words and numbers."""

from collections import deque
from collections.abc import Sequence

from tasklet_runner.coordinator.progress import ChunkFailure, StageProgress

RATE_SECONDS = 3.0
"""A rate is that of the last so many seconds."""


class Rate:
    """Chunks per second over the last seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=200)

    def note(self, now: float, done: int) -> None:
        """So many chunks are done at that instant."""
        self._samples.append((now, done))
        while self._samples[0][0] < now - RATE_SECONDS:
            self._samples.popleft()

    def per_second(self) -> float:
        """The rate, 0 before it can be known."""
        if len(self._samples) < 2:
            return 0.0
        (start, before), (end, after) = self._samples[0], self._samples[-1]
        return (after - before) / (end - start) if end > start else 0.0


def ending(stages: Sequence[StageProgress], failures: Sequence[ChunkFailure]) -> str:
    """One sentence on how the chunks ended."""
    succeeded = sum(stage.succeeded for stage in stages)
    failed = sum(stage.failed for stage in stages)
    if not failed:
        return f"{succeeded} chunks succeeded"
    text = f"{failed} of {succeeded + failed} chunks failed"
    if not failures:
        return text
    first = failures[0]
    where = f"chunk {first.index} of {first.stage}" if first.index >= 0 else f"all of {first.stage}"
    remedy = f" ({first.fault.remedy})" if first.fault.remedy else ""
    return f"{text}; {where}: {first.fault.reason}: {first.fault.message}{remedy}"
