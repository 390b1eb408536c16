"""Files of this machine, HTTP, and whatever else fsspec has a file system for."""

import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO, cast

import fsspec

from tasklet_runner.data.found import ChangedError, Found

FileSystem = Any
"""An fsspec file system; fsspec has no types."""

OpenFile = Any
"""A file of one."""

_ETAGS = ("ETag", "etag", "e_tag", "Content-MD5", "md5Hash")
_TIMES = ("mtime", "LastModified", "last_modified", "Last-Modified", "updated", "modified", "created")
_WEB = ("http", "https")
_WEB_WILDCARD = re.compile(r"[*\[]")
_WHOLE = {"Accept-Encoding": "identity"}
"""A compressed answer has another length and another ETag than the file."""


def mark_of(info: Mapping[str, Any]) -> str:
    """What differs when the content does; empty when the file system tells nothing of that kind."""
    for key in _ETAGS:
        if info.get(key):
            return str(info[key])
    told = [info.get("size"), info.get("ino"), next((info[key] for key in _TIMES if info.get(key) is not None), None)]
    return " ".join(str(one) for one in told if one is not None)


class FileSystemStorage:
    """A file system of fsspec. Its own cache of listings lives as long as this object."""

    def __init__(self, scheme: str, options: Mapping[str, Any]) -> None:
        self._scheme = scheme
        self._system: FileSystem = fsspec.filesystem(scheme, skip_instance_cache=True, **_options(scheme, options))

    def stat(self, location: str) -> Found:
        """What stands there. Raises FileNotFoundError, IsADirectoryError."""
        info = self._system.info(self._path(location))
        if info.get("type") == "directory":
            raise IsADirectoryError(location)
        return self._found(info)

    def glob(self, pattern: str) -> list[Found]:
        """The files that match. On a server a `?` begins a query, and a page that links to files is their listing."""
        if self._scheme in _WEB and not _WEB_WILDCARD.search(pattern):
            return self._only(pattern)
        matches = map(self._followed, self._system.glob(self._path(pattern), detail=True).values())
        return [self._found(info) for info in matches if info.get("type") != "directory"]

    def below(self, location: str) -> list[Found]:
        """The file itself, or all below that directory."""
        path = self._path(location)
        info = self._system.info(path)
        if info.get("type") != "directory":
            return [self._found(info)]
        return [self._found(self._followed(one)) for one in self._system.find(path, detail=True).values()]

    @contextmanager
    def open(self, found: Found) -> Iterator[BinaryIO]:
        """Its bytes. A server is asked once, for all of it: what comes is of one version."""
        path = self._path(found.location)
        if self._scheme in _WEB:
            # A block size of 0 streams, and a size spares the request for it.
            file = self._system.open(path, "rb", block_size=0, size=1, headers=_WHOLE)
        else:
            file = self._system.open(path, "rb")
        with file:
            if self._scheme == "https":
                _check_encrypted(file)
            self._compare(found, file)
            yield cast("BinaryIO", file)

    def write(self, location: str, pieces: Iterable[bytes]) -> None:
        """Write or replace a file at once."""
        path = self._path(location)
        self._system.makedirs(path.rpartition("/")[0], exist_ok=True)
        if self._scheme == "file":
            _write_local(path, pieces)
            return
        file = self._system.open(path, "wb", autocommit=False)
        try:
            for data in pieces:
                file.write(data)
            file.close()
        except BaseException:
            file.discard()
            raise
        file.commit()

    def remove(self, location: str) -> None:
        """Delete a file; one that is not there is no error."""
        with suppress(FileNotFoundError):
            self._system.rm_file(self._path(location))

    def _only(self, location: str) -> list[Found]:
        try:
            return [self.stat(location)]
        except FileNotFoundError as error:
            # fsspec says this of every failure; what the server said stands in the cause.
            if error.__cause__ is not None and getattr(error.__cause__, "status", 0) != 404:
                raise
            return []

    def _followed(self, info: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is read under that name: a listing tells of a link itself, not of its file."""
        if self._scheme != "file" or not info.get("islink"):
            return info
        try:
            return cast("Mapping[str, Any]", self._system.info(info["name"]))
        except FileNotFoundError:
            return info  # who opens it is told

    def _path(self, location: str) -> str:
        return cast("str", self._system._strip_protocol(location))

    def _found(self, info: Mapping[str, Any]) -> Found:
        name = str(info["name"])
        location = name if self._scheme == "file" else self._system.unstrip_protocol(name)
        size = info.get("size")
        return Found(location, -1 if size is None else int(size), mark_of(info))

    def _compare(self, found: Found, file: OpenFile) -> None:
        if not found.mark:
            return
        if self._scheme == "file":
            now = os.fstat(file.fileno())
            mark = mark_of({"size": now.st_size, "ino": now.st_ino, "mtime": now.st_mtime})
        elif self._scheme in _WEB:
            headers = file.r.headers  # their names have no case, which a dict of them would have
            told = {key: headers[key] for key in (*_ETAGS, *_TIMES) if key in headers}
            mark = mark_of({**told, "size": _length(headers)})
        else:
            mark = mark_of(file.details if isinstance(getattr(file, "details", None), dict) else {})
        if mark and mark != found.mark:
            raise ChangedError(found.location)


def _options(scheme: str, options: Mapping[str, Any]) -> dict[str, Any]:
    if scheme not in _WEB or "client_kwargs" in options:
        return dict(options)
    import aiohttp

    # The default ends a download after five minutes; what counts is that bytes still come.
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=60)
    return {**options, "client_kwargs": {"timeout": timeout}}


def _check_encrypted(file: OpenFile) -> None:
    for answer in (*file.r.history, file.r):
        if answer.url.scheme != "https":
            raise ValueError(f"it leads to {answer.url}, which is not encrypted")


def _length(headers: Mapping[str, str]) -> int | None:
    given = headers.get("Content-Length", "")
    return int(given) if given.isdigit() else None


def _write_local(path: str, pieces: Iterable[bytes]) -> None:
    partial = f"{path}.{secrets.token_hex(4)}.partial"
    try:
        with open(partial, "xb") as file:
            for data in pieces:
                file.write(data)
        os.replace(partial, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(partial)
        raise
