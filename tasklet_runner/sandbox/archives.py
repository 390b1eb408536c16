"""Unpacking the tar archives of inputs and mounts, which come from outside."""

import errno
import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from tasklet_runner.sandbox.trees import remove_tree
from tasklet_runner.wire.errors import InputError

_MAX_NAME_BYTES = 1024

_MALFORMED = (
    tarfile.TarError,
    EOFError,
    ValueError,
    OverflowError,  # a time that no file can have
    RecursionError,  # a header of a header of a header …
    FileExistsError,
    NotADirectoryError,
)


def is_digest(text: str) -> bool:
    """True for a SHA-256 in lower-case hex: only such a name, never a path, is looked up among blobs."""
    return len(text) == 64 and all(letter in "0123456789abcdef" for letter in text)


def unpack(archive: Path, destination: Path, max_bytes: int, max_files: int) -> int:
    """Unpack regular files and directories below `destination`, which is made new; the bytes that were written.

    Modes and owners of the archive are not taken over; modification times are, so that what a tasklet sees is the
    same on every machine. After an error nothing is left at `destination`.

    Raises:
        InputError: not a tar archive; an entry that is absolute, has `..`, is a link or a device, or comes twice;
            more bytes or entries than allowed.
    """
    destination.mkdir(mode=0o755)
    try:
        # "r|" reads the archive once from front to back, so a member cannot send the reader back to the start.
        with tarfile.open(archive, mode="r|") as reader:
            return _unpack_members(reader, destination, max_bytes, max_files)
    except _MALFORMED as error:
        remove_tree(destination)
        raise _not_an_archive(archive, error) from error
    except OSError as error:
        remove_tree(destination)
        if error.errno == errno.ENAMETOOLONG:  # of this archive, not of the disk
            raise _not_an_archive(archive, error) from error
        raise
    except InputError:
        remove_tree(destination)
        raise


def _not_an_archive(archive: Path, error: Exception) -> InputError:
    return InputError(
        f"{archive.name} is not an archive that can be unpacked: {str(error)[:500]}",
        remedy="pack regular files and directories, with short names, into an uncompressed tar archive",
    )


def _unpack_members(reader: tarfile.TarFile, destination: Path, max_bytes: int, max_files: int) -> int:
    written = 0
    for count, member in enumerate(reader, start=1):
        _check(member)
        written += member.size if member.isreg() else 0
        if count > max_files or written > max_bytes:
            raise InputError(
                f"the archive holds more than {max_bytes} bytes or {max_files} entries",
                remedy="give the pool's members more scratch, or share less between chunks",
            )
        target = destination / PurePosixPath(member.name)
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            _write(reader, member, target)
    return written


def _check(member: tarfile.TarInfo) -> None:
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\0" in member.name:
        problem = "leads out of the directory"
    elif len(member.name.encode("utf-8", "surrogateescape")) > _MAX_NAME_BYTES:
        problem = f"has a name of more than {_MAX_NAME_BYTES} bytes"
    elif not (member.isreg() or member.isdir()):
        problem = "is a link or a special file"
    else:
        return
    raise InputError(
        f"the archive's entry {member.name[:200]!r} {problem}", remedy="pack regular files and directories only"
    )


def _write(reader: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source = reader.extractfile(member)
    # "x" fails on anything that stands there, so two entries of one name cannot write through each other.
    with target.open("xb") as file:
        if source is not None:
            shutil.copyfileobj(source, file)
    os.utime(target, (member.mtime, member.mtime))
