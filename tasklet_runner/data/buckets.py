"""Buckets of S3 and of servers that speak its protocol, through obstore (the extra `s3`)."""

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from fsspec.utils import glob_translate

from tasklet_runner.data.found import ChangedError, Found

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer
    from obstore import ObjectMeta

SCHEMES = ("s3", "s3a")

PIECE_BYTES = 1024 * 1024
PART_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 4
_WILDCARD = re.compile(r"[*?\[]")
_RETRIES = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}
_CLIENT = {"allow_http": True, "connect_timeout": timedelta(seconds=10), "timeout": timedelta(seconds=300)}
"""Plain HTTP is spoken only where the endpoint says `http://`."""


class _Pieces(io.RawIOBase):
    """Buffers one after another as a file that is read from front to back."""

    def __init__(self, pieces: Iterator["ReadableBuffer"]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: "WriteableBuffer") -> int:
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._left = memoryview(piece)
        room = memoryview(target)
        taken = min(len(room), len(self._left))
        room[:taken] = self._left[:taken]
        self._left = self._left[taken:]
        return taken


class BucketStorage:
    """One bucket. An object's mark is its ETag, and it is asked for on the condition that it still has it."""

    def __init__(self, root: str, options: Mapping[str, Any]) -> None:
        """`root`: `s3://bucket`. Raises ImportError without the extra, and what obstore finds wrong with options."""
        from obstore.store import S3Store

        self._root = root
        bucket = root.partition("://")[2]
        configured = {key.lower(): value for key, value in options.items()}
        self._store = S3Store(
            bucket,
            config=cast("Any", configured),
            client_options=cast("Any", _CLIENT),
            retry_config=cast("Any", _RETRIES),
        )

    def stat(self, location: str) -> Found:
        """What stands there; a directory is not told apart from nothing."""
        return self._found(self._store.head(self._key(location)))

    def glob(self, pattern: str) -> list[Found]:
        """The objects that match."""
        key = self._key(pattern)
        if not _WILDCARD.search(key):
            try:
                return [self.stat(pattern)]
            except FileNotFoundError:
                return []
        matches = re.compile(glob_translate(key)).match
        directory, _, name = key.rpartition("/")
        if not _WILDCARD.search(directory) and "**" not in name:
            listed = self._store.list_with_delimiter(directory or None)["objects"]
            return [self._found(one) for one in listed if matches(one["path"])]
        fixed = key[: next(_WILDCARD.finditer(key)).start()].rpartition("/")[0]
        return [found for found in self._listed(fixed) if matches(self._key(found.location))]

    def below(self, location: str) -> list[Found]:
        """The object itself, or all whose key begins with it and a slash."""
        key = self._key(location)
        found = self._listed(key)
        return found or [self.stat(location)]

    @contextmanager
    def open(self, found: Found) -> Iterator[BinaryIO]:
        """Its bytes. Raises ChangedError when it has another ETag by now."""
        from obstore.exceptions import PreconditionError

        try:
            answer = self._store.get(
                self._key(found.location), options={"if_match": found.mark} if found.mark else None
            )
        except PreconditionError as error:
            raise ChangedError(found.location) from error
        with io.BufferedReader(_Pieces(iter(answer.stream(min_chunk_size=PIECE_BYTES))), PIECE_BYTES) as file:
            yield cast("BinaryIO", file)

    def write(self, location: str, pieces: Iterable[bytes]) -> None:
        """Write or replace an object; a large one in parts, which become an object when all are there."""
        self._store.put(self._key(location), iter(pieces), chunk_size=PART_BYTES, max_concurrency=_PARTS_AT_ONCE)

    def remove(self, location: str) -> None:
        """Delete an object; one that is not there is no error."""
        try:
            self._store.delete(self._key(location))
        except FileNotFoundError:
            return

    def _listed(self, prefix: str) -> list[Found]:
        return [self._found(one) for some in self._store.list(prefix or None) for one in some]

    def _key(self, location: str) -> str:
        return location.removeprefix(self._root).strip("/")

    def _found(self, meta: "ObjectMeta") -> Found:
        # Servers without ETags tell at least when they were given it.
        mark = meta["e_tag"] or f"{meta['size']} {meta['last_modified'].isoformat()}"
        return Found(f"{self._root}/{meta['path']}", meta["size"], mark)
