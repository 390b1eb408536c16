"""What a user asked of `leasegrid run`."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunRequest:
    """The arguments of one `leasegrid run`. `timeline`: a path ending in .svg or .html, or `-` for the terminal."""

    files: tuple[str, ...]
    results: Path | None = None
    timeline: str | None = None
    as_json: bool = False
    workers: int | None = None
    keep_going: bool = False
    restart: bool = False
