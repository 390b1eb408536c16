"""One table of figures, printed row by row as they are measured, in Markdown."""

from dataclasses import dataclass


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
