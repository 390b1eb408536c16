"""Tables for people: columns as wide as their widest cell. Pure."""

from collections.abc import Sequence


def columns(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A line for the headings and one for each row; an empty cell is shown as `-`."""
    shown = [list(headings), *([cell or "-" for cell in row] for row in rows)]
    widths = [max(len(row[number]) for row in shown) for number in range(len(headings))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]
