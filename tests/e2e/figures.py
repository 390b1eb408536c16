"""What a run measured, printed at its end. Nothing is judged by it: machines differ."""

from dataclasses import dataclass, field


@dataclass
class Figures:
    """Lines of what and how much, in the order in which they were seen."""

    lines: list[tuple[str, str]] = field(default_factory=list)

    def say(self, what: str, much: str) -> None:
        self.lines.append((what, much))

    def seconds(self, what: str, seconds: float) -> None:
        """A duration."""
        self.say(what, f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms")
