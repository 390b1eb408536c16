"""Modules that fill a small scratch faster than anybody looks, each in its own way."""

from collections.abc import Iterator
from functools import partial

from tasklet_runner.wire.programs import Limits
from tests.hostile.cases import MEBIBYTE, Case, Program
from tests.hostile.wasi import command

_LIMITS = Limits(fuel=10**15, memory=8 * MEBIBYTE, wall_seconds=60, max_output=200_000)

_NEXT = "(call $digits (i32.const 1024) (local.get $n)) (local.set $n (i32.add (local.get $n) (i32.const 1)))"
_OPEN = f"{_NEXT} (drop (call $open (i32.const 3) (i32.const 1024) (i32.const 7) (i32.const 1)))"
_FILL = "(local.set $code (call $write (i32.load (i32.const 12)) (i32.const 65536) (i32.const 4000000)))"
_CLOSE = "(drop (call $fd_close (i32.load (i32.const 12))))"
_UNLINK = "(drop (call $path_unlink_file (i32.const 3) (i32.const 1024) (i32.const 7)))"
_SAY = "(drop (call $write (i32.const 1) (i32.const 65536) (i32.const 4000000)))"
_REST = """(if (local.get $code) (then
  (i32.store (i32.const 2064) (i32.const 1)) (i64.store (i32.const 2072) (i64.const 3600000000000))
  (drop (call $poll_oneoff (i32.const 2048) (i32.const 4096) (i32.const 1) (i32.const 8)))))"""


def cases() -> Iterator[Case]:
    """One kind."""
    of = partial(Case, "fill of scratch", reason="OutputTooLarge", limits=_LIMITS, program=Program(output_files=True))
    for name, step in {
        "by ever more files": _OPEN + _FILL + _CLOSE,
        "by files that have no name any more": _OPEN + _UNLINK + _FILL,
        "by files and stdout at once": _OPEN + _FILL + _CLOSE + _SAY,
    }.items():
        yield of(name, partial(_filling, step))
    yield of("until nothing more goes in, and then rest", resting)


def resting() -> bytes:
    """Fills scratch, and rests as long as it is full."""
    return _filling(_OPEN + _FILL + _CLOSE + _REST)


def _filling(step: str) -> bytes:
    return command(f"(local $n i32) (local $code i32) (drop (memory.grow (i32.const 64))) (loop {step} (br 0))")
