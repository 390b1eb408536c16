"""Where the visible objects of a stage stand in a results directory: pure."""

from collections.abc import Iterator

from tasklet_runner.plan.types import Layout
from tasklet_runner.store.protocol import CommitRecord
from tasklet_runner.wire.errors import ResultsError


def targets(record: CommitRecord, layout: Layout) -> Iterator[tuple[str, str]]:
    """(object key, path below the results directory with `/`) of each visible object of a chunk; a fault has none.

    Raises ResultsError for a name that could leave the directory.
    """
    if record.fault is not None:
        return
    for suffix in record.objects:
        path = _by_index(record, suffix) if layout is Layout.BY_INDEX else _by_path(record, suffix)
        if not is_inside(path):
            raise ResultsError(
                f"chunk {record.index} of stage {record.stage} has an output named {suffix!r}, "
                f"which would stand at {path!r}",
                remedy="name outputs by plain relative paths",
            )
        yield record.key(suffix), path


def is_inside(path: str) -> bool:
    """True for a relative path of plain parts: no empty part, no `.` or `..`, no NUL."""
    return "\0" not in path and all(part not in {"", ".", ".."} for part in path.split("/"))


class Claims:
    """Who writes which path. Finds two chunks with one path, and a path that is a file for one and a directory for
    another, before anything is written.
    """

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self._directories: dict[str, int] = {}

    def add(self, path: str, index: int) -> None:
        """Chunk `index` writes a file at `path`; raises ResultsError naming both chunks when that is taken."""
        if path in self._files or path in self._directories:
            raise _collision(path, self._files.get(path, self._directories.get(path, index)), index)
        self._files[path] = index
        parent = path.rpartition("/")[0]
        while parent and parent not in self._directories:
            if parent in self._files:
                raise _collision(parent, self._files[parent], index)
            self._directories[parent] = index
            parent = parent.rpartition("/")[0]


def _collision(path: str, first: int, second: int) -> ResultsError:
    who = f"chunks {first} and {second} both have" if first != second else f"chunk {first} has twice"
    return ResultsError(
        f"{who} an output at {path!r}; nothing was written",
        remedy="let each chunk write its own names, or use spec.output.layout: ByIndex (--layout for kept outputs)",
    )


def _by_index(record: CommitRecord, suffix: str) -> str:
    return f"{record.index}/{suffix.removeprefix('out/')}"


def _by_path(record: CommitRecord, suffix: str) -> str:
    # A chunk that is no file (an item, a count) has no path: its number stands for it.
    return f"{record.path or record.index}.stdout" if suffix == "stdout" else suffix.removeprefix("out/")
