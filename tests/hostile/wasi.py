"""WASI preview-1 commands as WebAssembly text, from a body alone: what it calls is imported, what it names is data.

Memory of every module: an iovec at 0, a result at 8, another at 12, texts from 64, the rest from 65536 free.
"""

import re
from collections.abc import Mapping

import wasmtime

_RESULTS = "(result i32)"
_SIGNATURES = {
    "args_get": "i32 i32",
    "args_sizes_get": "i32 i32",
    "environ_get": "i32 i32",
    "environ_sizes_get": "i32 i32",
    "clock_time_get": "i32 i64 i32",
    "fd_allocate": "i32 i64 i64",
    "fd_close": "i32",
    "fd_filestat_set_size": "i32 i64",
    "fd_pwrite": "i32 i32 i32 i64 i32",
    "fd_read": "i32 i32 i32 i32",
    "fd_readdir": "i32 i32 i32 i64 i32",
    "fd_renumber": "i32 i32",
    "fd_write": "i32 i32 i32 i32",
    "path_create_directory": "i32 i32 i32",
    "path_filestat_set_times": "i32 i32 i32 i32 i64 i64 i32",
    "path_link": "i32 i32 i32 i32 i32 i32 i32",
    "path_open": "i32 i32 i32 i32 i32 i64 i64 i32 i32",
    "path_readlink": "i32 i32 i32 i32 i32 i32",
    "path_remove_directory": "i32 i32 i32",
    "path_rename": "i32 i32 i32 i32 i32 i32",
    "path_symlink": "i32 i32 i32 i32 i32",
    "path_unlink_file": "i32 i32 i32",
    "poll_oneoff": "i32 i32 i32 i32",
    "random_get": "i32 i32",
    "sock_accept": "i32 i32 i32",
}

_HELPERS = {
    "write": """(func $write (param $fd i32) (param $at i32) (param $length i32) (result i32)
  (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $length))
  (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))""",
    # oflags: 1 create, 2 directory, 4 exclusive, 8 truncate; rights 66: read and write.
    "open": """(func $open (param $fd i32) (param $at i32) (param $length i32) (param $flags i32) (result i32)
  (call $path_open (local.get $fd) (i32.const 0) (local.get $at) (local.get $length) (local.get $flags)
   (i64.const 66) (i64.const 66) (i32.const 0) (i32.const 12)))""",
    "directory": """(func $directory (param $fd i32) (param $at i32) (param $length i32) (result i32)
  (call $path_open (local.get $fd) (i32.const 0) (local.get $at) (local.get $length) (i32.const 2)
   (i64.const 0x1fffffbf) (i64.const 0x1fffffbf) (i32.const 0) (i32.const 12)))""",
    "digits": """(func $digits (param $at i32) (param $number i32)
  (local $left i32) (local.set $left (i32.const 7))
  (loop (i32.store8 (i32.add (local.get $at) (local.tee $left (i32.sub (local.get $left) (i32.const 1))))
    (i32.add (i32.const 48) (i32.rem_u (local.get $number) (i32.const 10))))
   (local.set $number (i32.div_u (local.get $number) (i32.const 10)))
   (br_if 0 (local.get $left))))""",
}
"""`$write fd at length`, `$open fd path flags`, `$directory fd path` (descriptor at 12); `$digits at number`: seven."""


def binary(text: str) -> bytes:
    """WebAssembly text as a module."""
    return bytes(wasmtime.wat2wasm(text))


def command(
    body: str, *, texts: Mapping[str, str | bytes] | None = None, memory: str = "2", declared: str = "", start: str = ""
) -> bytes:
    """A command whose `_start` is `body`. `@name` there is the address and the length of that text. `start`: the body
    of a start function. `declared`: further fields of the module.
    """
    data, body = _placed(f"{start}\0{body}", texts or {})
    begin, body = body.split("\0")
    begin = f"(func $begin {begin}) (start $begin)" if begin else ""
    helpers = "".join(text for name, text in _HELPERS.items() if f"${name} " in body + begin + declared)
    code = f'{helpers} {declared} {begin} (func $main (export "_start") {body})'
    return binary(f'(module {_imports(code)} (memory (export "memory") {memory}) {data} {code})')


def exiting(code: str, **fields: object) -> bytes:
    """A command that exits with the errno that this expression gives; with 99 if it is none, and so was allowed."""
    body = f"(local $code i32) (local.set $code {code}) " + (
        "(call $proc_exit (select (local.get $code) (i32.const 99) (local.get $code)))"
    )
    return command(body, **fields)  # type: ignore[arg-type]  # the keywords of `command`


def _imports(code: str) -> str:
    needed = "".join(
        f'(import "wasi_snapshot_preview1" "{name}" (func ${name} (param {given}) {_RESULTS}))'
        for name, given in _SIGNATURES.items()
        if f"${name} " in code
    )
    return needed + '(import "wasi_snapshot_preview1" "proc_exit" (func $proc_exit (param i32)))'


def _placed(body: str, texts: Mapping[str, str | bytes]) -> tuple[str, str]:
    data, at = b"", 64
    for name, text in texts.items():
        found = text if isinstance(text, bytes) else text.encode()
        body = re.sub(rf"@{name}\b", f"(i32.const {at + len(data)}) (i32.const {len(found)})", body)
        data += found
    quoted = "".join(f"\\{byte:02x}" for byte in data)
    return (f'(data (i32.const 64) "{quoted}")' if data else ""), body
