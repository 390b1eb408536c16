"""Directory trees that a tasklet has written: listing and removing them whatever they hold.

A tasklet names files relative to a directory it holds open, so it can nest directories deeper than any path may be
long and than Python may recurse, and it can leave symlinks. Nothing runs in the tree any more when these are called.
"""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

MAX_OUTPUT_FILES = 10_000
"""More entries than this in /out are too large an output, whatever their bytes."""

MAX_NAMES_BYTES = 4 * 1024 * 1024
"""So much may the paths of all files of an output come to: they travel in one message."""

MAX_PATH_BYTES = 1024
"""A longer path below /out is refused: it could not be written anywhere else below a directory of ordinary length."""


@dataclass(frozen=True)
class Listing:
    """The regular files of a tree, by relative path with `/` in sorted order, and their bytes in all.

    `refused` says in words why the tree is too large or too deep to be an output; then the rest is not complete.
    """

    files: tuple[str, ...] = ()
    byte_count: int = 0
    refused: str = ""


def list_tree(root: Path, *, bounded: bool = True) -> Listing:
    """What regular files stand below `root`. Symlinks and special files are neither followed nor listed.

    `bounded`: refuse what is too much to be an output; without it the listing of a trusted tree is complete.
    """
    files: list[str] = []
    byte_count = entries = names = 0
    pending = [""]
    while pending:
        directory = pending.pop()
        with os.scandir(f"{root}/{directory}") as found:
            for entry in found:
                name = f"{directory}/{entry.name}" if directory else entry.name
                length = len(os.fsencode(name))
                entries, names = entries + 1, names + length
                if bounded and (refused := _too_much(entries, length, names)):
                    return Listing(refused=refused)
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    pending.append(name)
                elif stat.S_ISREG(status.st_mode):
                    files.append(name)
                    byte_count += status.st_size
    return Listing(tuple(sorted(files)), byte_count)


def _too_much(entries: int, length: int, names: int) -> str:
    if entries > MAX_OUTPUT_FILES:
        return f"more than {MAX_OUTPUT_FILES} files into /out"
    if length > MAX_PATH_BYTES:
        return f"a path of more than {MAX_PATH_BYTES} bytes below /out"
    return f"more than {MAX_NAMES_BYTES} bytes of paths below /out" if names > MAX_NAMES_BYTES else ""


def empty_tree(root: Path) -> int:
    """Remove everything below `root`, which stays; the bytes on disk that its files took. Needs no long path and no
    recursion at any depth.
    """
    top = str(root)
    serial = freed = 0
    while True:
        directories, size = _remove_files(top)
        freed += size
        if not directories:
            return freed
        for directory in directories:
            inside, size = _remove_files(directory)
            freed += size
            for nested in inside:
                # Lifted to the top, under a name that nothing there has, it is removed in a later round.
                while os.path.lexists(lifted := f"{top}/lifted-{serial}"):
                    serial += 1
                os.rename(nested, lifted)
            os.rmdir(directory)


def remove_tree(root: Path) -> None:
    """Remove `root` with everything below it; nothing there is no error."""
    try:
        os.unlink(root)
    except IsADirectoryError:
        empty_tree(root)
        os.rmdir(root)
    except FileNotFoundError:
        return


def _remove_files(directory: str) -> tuple[list[str], int]:
    """Remove all but directories that are not empty; those, and the bytes on disk of the files."""
    directories, freed = [], 0
    with os.scandir(directory) as found:
        entries = list(found)
    for entry in entries:
        if not entry.is_dir(follow_symlinks=False):
            freed += entry.stat(follow_symlinks=False).st_blocks * 512
            os.unlink(entry.path)
            continue
        try:
            os.rmdir(entry.path)
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            directories.append(entry.path)
    return directories, freed
