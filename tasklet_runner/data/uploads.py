"""Files of a submitter's machine, as the coordinator of a cluster finds them: in the job's store."""

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast

from tasklet_runner.data.found import ChangedError, Found
from tasklet_runner.wire.uploads import UploadedFile, Uploads, file_key

PIECE_BYTES = 1024 * 1024

ReadObject = Callable[[str, int, int], bytes]
"""Bytes of an object: its key, from where, how many at most. Blocking. Raises KeyError when there is none."""


class UploadedStorage:
    """Implements `data.found.Storage`: what was uploaded, and nothing of the machine that this runs on."""

    def __init__(self, uploads: Uploads, read: ReadObject) -> None:
        self._places = uploads.places
        self._files = {one.location: one for files in uploads.places.values() for one in files}
        self._read = read

    def stat(self, location: str) -> Found:
        """What stands there. Raises FileNotFoundError, IsADirectoryError."""
        files = self._place(location)
        if location not in self._files:
            raise IsADirectoryError(location)
        return _found(files[0])

    def glob(self, pattern: str) -> list[Found]:
        """The files that matched where they were uploaded."""
        return [_found(one) for one in self._places.get(pattern, ())]

    def below(self, location: str) -> list[Found]:
        """The file itself, or all that were below that directory."""
        return [_found(one) for one in self._place(location)]

    @contextmanager
    def open(self, found: Found) -> Iterator[BinaryIO]:
        """Its bytes, read from the store in flat memory."""
        file = self._files.get(found.location)
        if file is None:
            raise _not_uploaded(found.location)
        if found.mark not in ("", file.digest):
            raise ChangedError(found.location)
        with io.BufferedReader(_Object(file, self._read), PIECE_BYTES) as reader:
            yield cast("BinaryIO", reader)

    def write(self, location: str, pieces: Iterable[bytes]) -> None:
        """Nothing is written there. Raises PermissionError."""
        raise PermissionError(f"{location} is a path of the submitter's machine")

    def remove(self, location: str) -> None:
        """Nothing is deleted there. Raises PermissionError."""
        raise PermissionError(f"{location} is a path of the submitter's machine")

    def _place(self, location: str) -> tuple[UploadedFile, ...]:
        if location not in self._places:
            raise _not_uploaded(location)
        return self._places[location]


class _Object(io.RawIOBase):
    """An object of the store as a file that is read from front to back."""

    def __init__(self, file: UploadedFile, read: ReadObject) -> None:
        super().__init__()
        self._file = file
        self._get = read
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """Fill the buffer as far as there are bytes."""
        wanted = min(len(buffer), self._file.size - self._at)
        if wanted <= 0:
            return 0
        try:
            data = self._get(file_key(self._file.digest), self._at, wanted)
        except KeyError as error:
            raise _not_uploaded(self._file.location) from error
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _found(file: UploadedFile) -> Found:
    return Found(file.location, file.size, file.digest)


def _not_uploaded(location: str) -> FileNotFoundError:
    return FileNotFoundError(f"{location} was not uploaded (submit the job with: leasegrid submit FILE)")
