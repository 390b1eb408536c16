"""What changed from one payload to the next: pure.

Format of a delta, little-endian: the number of runs (8); of each run its first byte and its length in the new payload
(8, 8), ascending; then the bytes of all runs. The size of the new payload stands in the record's header. What lies
beyond the end of the old payload has always changed.
"""

import ctypes
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from tasklet_runner.durable.disk import Buffer

BLOCK_BYTES = 4096
"""A change of one byte costs a block."""

_PIECE_BYTES = 8 * BLOCK_BYTES
_COUNT = struct.Struct("<Q")
_RUN = struct.Struct("<QQ")


class Run(NamedTuple):
    """Bytes [start, stop) of the new payload."""

    start: int
    stop: int


class PlacedRun(NamedTuple):
    """Bytes [start, stop) of the new payload stand in the delta from byte `at` on."""

    start: int
    stop: int
    at: int


def changed_runs(old: Buffer, new: Buffer) -> list[Run]:
    """Where `new` differs from `old`, in whole blocks; ascending, and never one right behind another."""
    old, new = memoryview(old), memoryview(new)
    shared = min(len(old), len(new))
    with _address(old) as here, _address(new) as there:
        found = list(_changed(here, there, shared))
    if len(new) > shared:
        found.append(Run(shared, len(new)))
    return merged(found)


def merged(runs: Iterable[Run]) -> list[Run]:
    """Ascending runs without those that touch or overlap."""
    result: list[Run] = []
    for run in sorted(runs):
        if result and run.start <= result[-1].stop:
            result[-1] = Run(result[-1].start, max(run.stop, result[-1].stop))
        elif run.stop > run.start:
            result.append(run)
    return result


def encoded_bytes(runs: Sequence[Run]) -> int:
    """How long `encode` makes them."""
    return _COUNT.size + sum(_RUN.size + run.stop - run.start for run in runs)


def encode(runs: Sequence[Run], new: Buffer, front: Buffer = b"") -> bytes:
    """The delta that turns what the runs were found against into `new`.

    `front`: bytes that stand before `new` in the payload, at no place of the runs, and have always changed.
    """
    view, before = memoryview(new), len(front)
    places = [(0, before)] if before else []
    places += [(before + run.start, run.stop - run.start) for run in runs]
    table = _COUNT.pack(len(places)) + b"".join(_RUN.pack(*place) for place in places)
    return b"".join((table, front, *(view[run.start : run.stop] for run in runs)))


def table_bytes(count: bytes) -> int:
    """How long the table is in front of a delta's bytes, told by its first 8; for nonsense larger than any delta."""
    (runs,) = _COUNT.unpack(count)
    return _COUNT.size + int(runs) * _RUN.size


def decode_table(table: bytes, length: int, size: int) -> list[PlacedRun] | None:
    """The runs of a delta of `length` bytes whose payload has `size`, from its table; None when it is not one."""
    if len(table) < _COUNT.size or len(table) != table_bytes(table[: _COUNT.size]):
        return None
    runs, at, last = list[PlacedRun](), len(table), 0
    for start, run_length in _RUN.iter_unpack(table[_COUNT.size :]):
        if start < last or run_length == 0 or start + run_length > size:
            return None
        last = start + run_length
        runs.append(PlacedRun(start, last, at))
        at += run_length
    return runs if at == length else None


def apply(delta: bytes, old: Buffer, size: int) -> bytes | None:
    """The new payload of `size` bytes; None when the delta is not one for it."""
    whole = len(delta) >= _COUNT.size and len(delta) >= table_bytes(delta[: _COUNT.size])
    runs = decode_table(delta[: table_bytes(delta[: _COUNT.size])], len(delta), size) if whole else None
    if runs is None:
        return None
    new = bytearray(size)
    new[: min(size, len(old))] = memoryview(old)[:size]
    for run in runs:
        new[run.start : run.stop] = delta[run.at : run.at + run.stop - run.start]
    return bytes(new)


def _changed(old: int, new: int, size: int) -> Iterator[Run]:
    for start in range(0, size, _PIECE_BYTES):
        stop = min(start + _PIECE_BYTES, size)
        if _memcmp(old + start, new + start, stop - start):
            for block in range(start, stop, BLOCK_BYTES):
                block_stop = min(block + BLOCK_BYTES, stop)
                if _memcmp(old + block, new + block, block_stop - block):
                    yield Run(block, block_stop)


# Slices that are compared would be copied first; memcmp reads each byte once, and that is all the time there is.
_memcmp = ctypes.PyDLL(None).memcmp
_memcmp.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_memcmp.restype = ctypes.c_int


class _PyBuffer(ctypes.Structure):
    """Py_buffer of CPython's C API: what asks for the address of read-only bytes too."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


@contextmanager
def _address(view: memoryview) -> Iterator[int]:
    buffer = _PyBuffer()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(view), ctypes.byref(buffer), 0)
    try:
        yield buffer.buf or 0
    finally:
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(buffer))
