"""One table of figures, printed row by row as they are measured, in Markdown."""

import contextlib
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """A figure, what stands beside it in the same run, their ratio in words, and the figure to reach."""

    what: str
    figure: str
    beside: str = ""
    ratio: str = ""
    wanted: str = ""


COLUMNS = ("what", "LeaseGrid", "beside it", "ratio", "to reach")


class Table:
    """Prints its heading at once and each row when it is added."""

    def __init__(self, title: str, columns: tuple[str, ...] = COLUMNS) -> None:
        print(f"\n### {title}\n\n| {' | '.join(columns)} |\n|{' --- |' * len(columns)}", flush=True)

    def add(self, row: Row) -> None:
        """Print the row."""
        print(f"| {row.what} | {row.figure} | {row.beside} | {row.ratio} | {row.wanted} |", flush=True)


@contextlib.contextmanager
def written_to(path: Path) -> Iterator[None]:
    """What is printed within goes to the terminal and into a file."""
    with path.open("w", encoding="utf-8") as file, contextlib.redirect_stdout(_Both(file)):
        yield


class _Both(io.TextIOBase):
    def __init__(self, file: io.TextIOWrapper) -> None:
        self._terminal, self._file = sys.stdout, file

    def write(self, text: str) -> int:
        self._file.write(text)
        return self._terminal.write(text)

    def flush(self) -> None:
        self._file.flush()
        self._terminal.flush()
