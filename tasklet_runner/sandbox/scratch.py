"""A slot's own files: stdout and stderr of the run, /in and /out, and what becomes of them."""

import errno
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from tasklet_runner.sandbox.archives import is_digest, unpack
from tasklet_runner.sandbox.outcomes import clipped, output_too_large, text_of
from tasklet_runner.sandbox.places import held_path
from tasklet_runner.sandbox.trees import Listing, empty_tree, list_tree, remove_tree
from tasklet_runner.wire.errors import InputError
from tasklet_runner.wire.faults import Fault
from tasklet_runner.wire.programs import INLINE_OUTPUT_BYTES, STDERR_TAIL_BYTES, Limits, Outcome, OutputFile, Task

MAX_INPUT_BYTES = 64 * 1024 * 1024 * 1024
"""The bound of an unpacked input archive; the real one is the size of scratch."""

MAX_INPUT_FILES = 1_000_000


class CapturedFile:
    """A file that each run truncates and writes, read through a descriptor that stays open."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def size(self) -> int:
        """The file's size in bytes."""
        return os.fstat(self._descriptor).st_size

    def head(self, count: int) -> bytes:
        """At most the first `count` bytes."""
        return os.pread(self._descriptor, count, 0)

    def tail(self, count: int) -> bytes:
        """At most the last `count` bytes."""
        data = os.pread(self._descriptor, count + 1, 0)
        if len(data) <= count:
            return data
        return os.pread(self._descriptor, count, self.size() - count)

    def since(self, mark: int, count: int) -> bytes:
        """At most the last `count` bytes of what was written after the first `mark` bytes."""
        start = max(mark, self.size() - count)
        return os.pread(self._descriptor, count, start)

    def empty(self) -> None:
        """Give its space back; nobody writes to it now."""
        os.truncate(self.path, 0)

    def move(self, destination: Path) -> None:
        """Give the file away by renaming it, and begin a new one."""
        self.path.rename(destination)
        self.close()
        self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def close(self) -> None:
        """Close the descriptor; the file stays."""
        os.close(self._descriptor)


class Scratch:
    """The directory of one runner. `output_files`: runs have an /out; `before_freeing`: see `Places`."""

    def __init__(
        self, root: Path, held: Path, *, output_files: bool, before_freeing: Callable[[], None] = lambda: None
    ) -> None:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root = root
        self.input_directory = root / "in"
        self.output_directory = root / "out"
        self.stdin_path = root / "stdin"
        self._held = held
        self._output_files = output_files
        self._before_freeing = before_freeing
        empty_tree(root)
        self.stdout = CapturedFile(root / "stdout")
        self.stderr = CapturedFile(root / "stderr")
        if output_files:
            self.output_directory.mkdir()

    def close(self) -> None:
        """Remove everything that stands here."""
        self.stdout.close()
        self.stderr.close()
        empty_tree(self.root)

    def lay_out_input(self, task: Task, blobs: Path) -> Path | None:
        """Make /in for the task; the path of its stdin when that came in an archive.

        Raises:
            InputError: the archive is malformed, or the file's path leads out of /in.
        """
        remove_tree(self.input_directory)
        if task.input_blob:
            return self._unpack(_archive_of(task, blobs))
        self.input_directory.mkdir()
        if task.path:
            self._write_input(task)
        return None

    def _unpack(self, archive: Path) -> Path:
        unpacked = self.root / "unpacked"
        remove_tree(unpacked)
        try:
            unpack(archive, unpacked, MAX_INPUT_BYTES, MAX_INPUT_FILES)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            # Of this input, not of the member's disk: every other member would fail in the same way.
            raise InputError(
                f"the input {archive.name} does not fit into scratch beside its archive",
                remedy="give members more memory (resources.memory of the pool), or each chunk less",
            ) from error
        inside = unpacked / "in"
        if inside.is_dir():
            inside.rename(self.input_directory)
        else:
            self.input_directory.mkdir()
        stdin = unpacked / "stdin"
        if stdin.is_file():
            stdin.rename(self.stdin_path)
        else:
            self.stdin_path.write_bytes(b"")
        remove_tree(unpacked)
        return self.stdin_path

    def _write_input(self, task: Task) -> None:
        path = PurePosixPath(task.path)
        if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in task.path:
            shown = clipped(repr(task.path))
            raise InputError(f"the input's path {shown} leads to no file in /in", remedy="use a path below input.root")
        file = self.input_directory / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(task.input)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            # Of this input, not of the member's disk.
            raise InputError(
                f"the input's path {clipped(task.path)} has a part that is too long", remedy="use shorter names"
            ) from error

    def clear(self) -> None:
        """Make ready for the next run after one that had an /in or an /out."""
        self._before_freeing()
        remove_tree(self.input_directory)
        if self._output_files:
            empty_tree(self.output_directory)

    def stderr_tail(self) -> bytes:
        """What is kept of stderr."""
        return self.stderr.tail(STDERR_TAIL_BYTES)

    def stderr_text(self) -> str:
        """The same for people."""
        return text_of(self.stderr_tail())

    def excess(self, limits: Limits) -> Fault | None:
        """The fault of an output past the limit, for a run that failed perhaps because of that."""
        return self._excess(self._list_output(), limits)

    def collect(self, task: Task, limits: Limits, fuel_used: int) -> Outcome:
        """The outcome of a run that succeeded: outputs inline, or held under the task's name, or too large."""
        stdout = self.stdout.head(INLINE_OUTPUT_BYTES + 1)
        if not self._output_files and len(stdout) <= INLINE_OUTPUT_BYTES and len(stdout) <= limits.max_output:
            return Outcome(stdout=stdout, fuel_used=fuel_used, stderr=self.stderr_tail())
        listing = self._list_output()
        if fault := self._excess(listing, limits):
            return Outcome(fault=fault, fuel_used=fuel_used)
        total = self.stdout.size() + listing.byte_count
        if total > INLINE_OUTPUT_BYTES:
            self._hold(task, listing.files)
            return Outcome(fuel_used=fuel_used, held_bytes=total, stderr=self.stderr_tail())
        files = tuple(OutputFile(name, (self.output_directory / name).read_bytes()) for name in listing.files)
        return Outcome(stdout=stdout, files=files, fuel_used=fuel_used, stderr=self.stderr_tail())

    def _list_output(self) -> Listing:
        self._before_freeing()  # the next run begins with an empty stdout
        return list_tree(self.output_directory) if self._output_files else Listing()

    def _excess(self, listing: Listing, limits: Limits) -> Fault | None:
        total = self.stdout.size() + listing.byte_count
        bytes_found = f"{total} bytes where {limits.max_output} are allowed" if total > limits.max_output else ""
        found = listing.refused or bytes_found
        return output_too_large(limits, found, self.stderr_tail()) if found else None

    def hold_directory(self, task: Task, directory: Path) -> None:
        """Hold a directory of this scratch under the task's name, in one step."""
        place = self._place(task)
        remove_tree(place)
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.rename(place)

    def _place(self, task: Task) -> Path:
        return held_path(self._held, task)

    def _hold(self, task: Task, names: tuple[str, ...]) -> None:
        place = self._place(task)
        remove_tree(place)
        (place / "out").mkdir(parents=True)
        # File by file, so that only what was listed is held: no symlink, no empty directory.
        for name in names:
            target = place / "out" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (self.output_directory / name).rename(target)
        self.stdout.move(place / "stdout")


def _archive_of(task: Task, blobs: Path) -> Path:
    archive = blobs / task.input_blob
    if not is_digest(task.input_blob) or not archive.is_file():
        raise InputError(
            f"the input {task.input_blob[:80]!r} of chunk {task.chunk_id} is not at this member",
            remedy="send it before the task; if it was refused, scratch is full: give members more memory",
        )
    return archive
