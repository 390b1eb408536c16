"""What is seen of what a job names besides its members: objects of its namespace, and the copy of its outputs."""

from dataclasses import dataclass
from enum import StrEnum

REFERENCES_SECONDS = 2.0
"""So often what a job names of its namespace, and what was not there, is looked for: it is not watched."""


@dataclass(frozen=True)
class ReferenceSight:
    """The ConfigMaps and Secrets that a job names. `there`: all that its next coordinator needs; `words`: what was
    lacking when they were `looked_at`.
    """

    there: bool = True
    words: str = ""
    looked_at: float = 0.0

    @property
    def look_at(self) -> float:
        """When to look again."""
        return self.looked_at + REFERENCES_SECONDS


class CopyState(StrEnum):
    """Of the copy of the outputs into a claim."""

    ABSENT = "Absent"
    RUNNING = "Running"
    DONE = "Done"
    FAILED = "Failed"


@dataclass(frozen=True)
class CopySight:
    """Whoever copies the outputs into a claim; `words`: why it waits, what was copied, or why nothing could be."""

    state: CopyState = CopyState.ABSENT
    words: str = ""


THERE = ReferenceSight()
NO_COPY = CopySight()
