"""Tiny WASI preview-1 commands as WebAssembly text: one behaviour each.

Memory of every module: an iovec at 0, a result at 8, a scratch word at 12, data from 64, a buffer from 65536.
"""

from functools import cache

import wasmtime

_SIGNATURES = {
    "fd_write": "(param i32 i32 i32 i32) (result i32)",
    "fd_read": "(param i32 i32 i32 i32) (result i32)",
    "fd_close": "(param i32) (result i32)",
    "args_sizes_get": "(param i32 i32) (result i32)",
    "args_get": "(param i32 i32) (result i32)",
    "environ_sizes_get": "(param i32 i32) (result i32)",
    "environ_get": "(param i32 i32) (result i32)",
    "proc_exit": "(param i32)",
    "poll_oneoff": "(param i32 i32 i32 i32) (result i32)",
    "path_open": "(param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)",
    "path_rename": "(param i32 i32 i32 i32 i32 i32) (result i32)",
}

_WRITE = """
(func $write (param $fd i32) (param $at i32) (param $left i32)
  (block $done (loop $again
    (br_if $done (i32.eqz (local.get $left)))
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $left))
    (if (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
    (local.set $at (i32.add (local.get $at) (i32.load (i32.const 8))))
    (local.set $left (i32.sub (local.get $left) (i32.load (i32.const 8))))
    (br $again))))
"""


@cache
def module(text: str) -> bytes:
    """Compile WebAssembly text."""
    return bytes(wasmtime.wat2wasm(text))


def _command(body: str, imports: str = "", *, pages: int = 4, data: bytes = b"") -> bytes:
    functions = "\n".join(
        f'(import "wasi_snapshot_preview1" "{name}" (func ${name} {_SIGNATURES[name]}))' for name in imports.split()
    )
    write = _WRITE if "fd_write" in imports.split() else ""
    quoted = "".join(f"\\{byte:02x}" for byte in data)
    return module(
        f'(module {functions} (memory (export "memory") {pages}) (data (i32.const 64) "{quoted}") {write} {body})'
    )


def _start(body: str) -> str:
    return f'(func $start (export "_start") {body})'


def write_line(text: str, fd: int = 1) -> bytes:
    """Writes the text and a newline to stdout (or stderr, fd 2)."""
    line = text.encode() + b"\n"
    return _command(
        _start(f"(call $write (i32.const {fd}) (i32.const 64) (i32.const {len(line)}))"), "fd_write", data=line
    )


_COPY = """
  (block $end (loop $again
    (i32.store (i32.const 0) (i32.const 65536))
    (i32.store (i32.const 4) (i32.const 65536))
    (if (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 12)) (then unreachable))
    (br_if $end (i32.eqz (i32.load (i32.const 12))))
    (call $write (i32.const 1) (i32.const 65536) (i32.load (i32.const 12)))
    (br $again)))"""
"""Copies stdin to stdout."""


def echo() -> bytes:
    """Copies stdin to stdout."""
    return _command(
        _start(_COPY),
        "fd_write fd_read",
    )


def slow_echo(milliseconds: int) -> bytes:
    """Sleeps, then copies stdin to stdout."""
    return _command(
        _start(f"""
  (i32.store (i32.add (i32.const 65536) (i32.const 16)) (i32.const 1))
  (i64.store (i32.add (i32.const 65536) (i32.const 24)) (i64.const {milliseconds * 1_000_000}))
  (if (call $poll_oneoff (i32.const 65536) (i32.const 65600) (i32.const 1) (i32.const 12)) (then unreachable))
{_COPY}"""),
        "fd_write fd_read poll_oneoff",
    )


def arguments() -> bytes:
    """Writes its arguments, the program's name first, each ended by a NUL byte."""
    return _listing("args")


def environment() -> bytes:
    """Writes its environment as NAME=VALUE, each ended by a NUL byte."""
    return _listing("environ")


def _listing(what: str) -> bytes:
    return _command(
        _start(f"""
  (drop (call ${what}_sizes_get (i32.const 8) (i32.const 12)))
  (drop (call ${what}_get (i32.const 65536) (i32.const 131072)))
  (call $write (i32.const 1) (i32.const 131072) (i32.load (i32.const 12)))"""),
        f"fd_write {what}_sizes_get {what}_get",
    )


def loop() -> bytes:
    """Computes for ever: ends by fuel or by a deadline."""
    return _command(_start("(loop $again (br $again))"))


def grow(step_pages: int = 16) -> bytes:
    """Grows its memory, 64 KiB pages, touching each step, until it is refused; then it traps."""
    return _command(
        _start(f"""
  (local $at i32)
  (loop $again
    (local.set $at (memory.grow (i32.const {step_pages})))
    (if (i32.eq (local.get $at) (i32.const -1)) (then unreachable))
    (i32.store (i32.mul (local.get $at) (i32.const 65536)) (i32.const 1))
    (br $again))""")
    )


def exit_code(code: int, complaint: str = "") -> bytes:
    """Writes the complaint to stderr and exits."""
    text = complaint.encode()
    return _command(
        _start(
            f"(call $write (i32.const 2) (i32.const 64) (i32.const {len(text)})) (call $proc_exit (i32.const {code}))"
        ),
        "fd_write proc_exit",
        data=text,
    )


def trap() -> bytes:
    """Executes `unreachable` in function `inner`, called by `outer`, called by `_start`: three frames."""
    return _command("(func $inner unreachable) (func $outer (call $inner))" + _start("(call $outer)"))


def sleep(milliseconds: int) -> bytes:
    """Sleeps by poll_oneoff on the monotonic clock, burning no fuel; then writes `awake`."""
    # A subscription of 48 bytes at 65536: userdata u64, tag u8 (clock), id u32 (monotonic), timeout u64, ...
    return _command(
        _start(f"""
  (i32.store (i32.add (i32.const 65536) (i32.const 16)) (i32.const 1))
  (i64.store (i32.add (i32.const 65536) (i32.const 24)) (i64.const {milliseconds * 1_000_000}))
  (if (call $poll_oneoff (i32.const 65536) (i32.const 65600) (i32.const 1) (i32.const 12)) (then unreachable))
  (call $write (i32.const 1) (i32.const 64) (i32.const 6))"""),
        "fd_write poll_oneoff",
        data=b"awake\n",
    )


def spew() -> bytes:
    """Writes zeros to stdout for ever, 64 KiB at a time."""
    return _command(
        _start("(loop $again (call $write (i32.const 1) (i32.const 65536) (i32.const 65536)) (br $again))"), "fd_write"
    )


def write_files(count: int, size: int = 1, directory_fd: int = 3) -> bytes:
    """Writes files 00000, 00001, … of `size` bytes (at most 64 KiB) into a preopened directory."""
    digits = "".join(
        f"""
    (i32.store8 (i32.const {64 + position}) (i32.add (i32.const 48)
      (i32.rem_u (i32.div_u (local.get $number) (i32.const {10 ** (4 - position)})) (i32.const 10))))"""
        for position in range(5)
    )
    # oflags 1: O_CREAT; rights 64: fd_write.
    return _command(
        _start(f"""
  (local $number i32)
  (block $done (loop $again
    (br_if $done (i32.ge_u (local.get $number) (i32.const {count}))) {digits}
    (if (call $path_open (i32.const {directory_fd}) (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 1)
          (i64.const 64) (i64.const 64) (i32.const 0) (i32.const 12)) (then unreachable))
    (call $write (i32.load (i32.const 12)) (i32.const 65536) (i32.const {size}))
    (drop (call $fd_close (i32.load (i32.const 12))))
    (local.set $number (i32.add (local.get $number) (i32.const 1)))
    (br $again)))"""),
        "fd_write fd_close path_open",
    )


def write_file(name: str, text: bytes) -> bytes:
    """Writes one file into the first preopened directory."""
    encoded = name.encode()
    # oflags 1: O_CREAT; rights 64: fd_write.
    return _command(
        _start(f"""
  (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const {len(encoded)}) (i32.const 1)
        (i64.const 64) (i64.const 64) (i32.const 0) (i32.const 12)) (then unreachable))
  (call $write (i32.load (i32.const 12)) (i32.const {64 + len(encoded)}) (i32.const {len(text)}))"""),
        "fd_write path_open",
        data=encoded + text,
    )


def count_durably(total: int, milliseconds: int) -> bytes:
    """Counts in the file `count` of the first preopened directory, from what it finds there up to `total`, with a pause
    before each step; each step is written to `count.tmp` and renamed. Prints where it began and ended: two
    little-endian numbers of 32 bits. `total` 0: counts for ever if it found nothing, else does not count at all.
    """
    end = f"(i32.ge_u (i32.load (i32.const 128)) (i32.const {total}))" if total else "(i32.load (i32.const 132))"
    # Data: the two names; the pause's subscription from 256; the counter at 128, where it began at 132.
    return _command(
        _start(f"""
  (if (i32.eqz (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 0)
        (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 12))) (then
    (i32.store (i32.const 0) (i32.const 128))
    (i32.store (i32.const 4) (i32.const 4))
    (if (call $fd_read (i32.load (i32.const 12)) (i32.const 0) (i32.const 1) (i32.const 8)) (then unreachable))
    (drop (call $fd_close (i32.load (i32.const 12))))))
  (i32.store (i32.const 132) (i32.load (i32.const 128)))
  (i32.store (i32.const 272) (i32.const 1))
  (i64.store (i32.const 280) (i64.const {milliseconds * 1_000_000}))
  (block $done (loop $again
    (br_if $done {end})
    (drop (call $poll_oneoff (i32.const 256) (i32.const 512) (i32.const 1) (i32.const 12)))
    (i32.store (i32.const 128) (i32.add (i32.load (i32.const 128)) (i32.const 1)))
    (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 69) (i32.const 9) (i32.const 9)
          (i64.const 64) (i64.const 64) (i32.const 0) (i32.const 12)) (then unreachable))
    (call $write (i32.load (i32.const 12)) (i32.const 128) (i32.const 4))
    (drop (call $fd_close (i32.load (i32.const 12))))
    (if (call $path_rename (i32.const 3) (i32.const 69) (i32.const 9) (i32.const 3) (i32.const 64) (i32.const 5))
      (then unreachable))
    (br $again)))
  (call $write (i32.const 1) (i32.const 132) (i32.const 4))
  (call $write (i32.const 1) (i32.const 128) (i32.const 4))"""),
        "fd_write fd_read fd_close path_open path_rename poll_oneoff",
        data=b"countcount.tmp",
    )


def write_in_halves(milliseconds: int) -> bytes:
    """Writes the file `count` of the first preopened directory in place, for ever: the number of the round in 32 bits,
    and after a pause once more; then it closes the file and pauses again.
    """
    pause = "(drop (call $poll_oneoff (i32.const 256) (i32.const 512) (i32.const 1) (i32.const 12)))"
    write = "(call $write (i32.load (i32.const 140)) (i32.const 128) (i32.const 4))"
    return _command(
        _start(f"""
  (i32.store (i32.const 272) (i32.const 1))
  (i64.store (i32.const 280) (i64.const {milliseconds * 1_000_000}))
  (loop $again
    (i32.store (i32.const 128) (i32.add (i32.load (i32.const 128)) (i32.const 1)))
    (if (call $path_open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 5) (i32.const 9)
          (i64.const 64) (i64.const 64) (i32.const 0) (i32.const 140)) (then unreachable))
    {write} {pause} {write}
    (drop (call $fd_close (i32.load (i32.const 140)))) {pause}
    (br $again))"""),
        "fd_write fd_close path_open poll_oneoff",
        data=b"count",
    )


def missing_import() -> bytes:
    """Imports what no WASI host has."""
    return module(
        '(module (import "env" "no_such_function" (func)) (memory (export "memory") 1) (func (export "_start")))'
    )


def no_start() -> bytes:
    """A library: it exports no `_start`."""
    return module('(module (memory (export "memory") 1) (func (export "compute")))')
