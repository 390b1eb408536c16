"""What a store says when its disk fails: which store, how full it is, what to do."""

import errno
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasklet_runner.wire.errors import StoreError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True)
class StoreName:
    """How a store is called in messages: its uid, its directory, its quota in bytes.

    `enlarge` and `move` say what its owner can do when it, or the disk below it, is full.
    """

    uid: str
    directory: Path
    quota_bytes: int
    enlarge: str = "raise spec.output.size"
    move: str = "keep the state on a larger disk (XDG_STATE_HOME)"

    def __str__(self) -> str:
        return f"the store {self.uid} in {self.directory}"

    def quota_reached(self, used: int, wanted: int) -> StoreError:
        """No room for `wanted` more bytes."""
        return StoreError(
            f"{self} is full: {used:,} of {self.quota_bytes:,} bytes are used and {wanted:,} more are wanted",
            remedy=f"enlarge it: {self.enlarge}; or write less",
        )

    def corrupt(self, key: str) -> StoreError:
        """An object whose bytes are not those that were written."""
        return StoreError(
            f"{self} holds object {key!r} with other bytes than were written: their checksum differs",
            remedy="check the disk; run the job anew, for its outputs cannot be trusted",
        )

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Errors of the disk and of the index become StoreError, with the free space in words."""
        try:
            yield
        except (OSError, sqlite3.Error, UnicodeError) as error:
            # SQLite's own words hold names of the schema: of a damaged one they are no UTF-8.
            raise self._failed(error) from error

    def _failed(self, error: Exception) -> StoreError:
        if isinstance(error, UnicodeEncodeError):
            return StoreError(f"{self} takes keys in UTF-8 only: {error}", remedy="give the object another name")
        if _is_full(error):
            return StoreError(
                f"{self} cannot grow to its {self.quota_bytes:,} bytes: its file system has {self._free()} bytes free",
                remedy=f"free space at {self.directory}, or {self.move}",
            )
        return StoreError(
            f"{self} fails: {error} ({self._free()} bytes are free there)",
            remedy=f"check the disk and the rights of {self.directory}",
        )

    def _free(self) -> str:
        try:
            return f"{shutil.disk_usage(self.directory).free:,}"
        except OSError:
            return "unknown"


def _is_full(error: Exception) -> bool:
    if isinstance(error, OSError):
        return error.errno in _FULL
    return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
