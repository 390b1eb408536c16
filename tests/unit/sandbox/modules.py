"""The text modules of these tests: WASI commands of a few lines."""

_IMPORTS = """
 (import "wasi_snapshot_preview1" "args_sizes_get" (func $args_sizes (param i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "args_get" (func $args (param i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "environ_sizes_get" (func $environ_sizes (param i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "path_open"
   (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "path_symlink" (func $symlink (param i32 i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "path_create_directory" (func $mkdir (param i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
"""

_HELPERS = """
 (func $put (param $fd i32) (param $at i32) (param $length i32)
  (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $length))
  (drop (call $write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
 (func $get (param $fd i32) (param $at i32) (result i32)
  (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (i32.const 4096))
  (drop (call $read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
  (i32.load (i32.const 8)))
 (func $create (param $directory i32) (param $name i32) (param $length i32) (result i32)
  (drop (call $open (local.get $directory) (i32.const 0) (local.get $name) (local.get $length)
   (i32.const 9) (i64.const 66) (i64.const 66) (i32.const 0) (i32.const 12)))
  (i32.load (i32.const 12)))
 (func $open_file (param $directory i32) (param $name i32) (param $length i32) (result i32)
  (drop (call $open (local.get $directory) (i32.const 0) (local.get $name) (local.get $length)
   (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 12)))
  (i32.load (i32.const 12)))
"""


def command(body: str, *, data: str = "", memory: str = "2", functions: str = "") -> str:
    """A command with this body. Addresses below 64 are scratch, `data` is at 64; 1024 and up are free."""
    return f"""(module {_IMPORTS}
 (memory (export "memory") {memory}) (data (i32.const 64) "{data}")
 {_HELPERS} {functions}
 (func $main (export "_start") {body}))"""


ECHO = command("(call $put (i32.const 1) (i32.const 1024) (call $get (i32.const 0) (i32.const 1024)))")

SHOW_ARGUMENTS = command("""
 (drop (call $args_sizes (i32.const 16) (i32.const 20)))
 (drop (call $args (i32.const 1024) (i32.const 2048)))
 (call $put (i32.const 1) (i32.const 2048) (i32.load (i32.const 20)))
 (drop (call $environ_sizes (i32.const 16) (i32.const 20)))
 (drop (call $environ (i32.const 1024) (i32.const 4096)))
 (call $put (i32.const 1) (i32.const 4096) (i32.load (i32.const 20)))""")
"""Writes all arguments, then NAME=value of all variables, each with a NUL after it."""

ENDLESS = command("(loop br 0)")

COUNT_INPUT = command("""
 (local $left i32) (local.set $left (call $get (i32.const 0) (i32.const 1024)))
 (loop (br_if 0 (i32.gt_s (local.tee $left (i32.sub (local.get $left) (i32.const 1))) (i32.const 0))))
 (call $put (i32.const 1) (i32.const 1024) (i32.const 1))""")
"""Uses fuel by the length of its input."""

RECURSE = command("(call $down)", functions="(func $down (call $down))")

COMPLAIN_AND_EXIT = command(
    "(call $put (i32.const 2) (i32.const 64) (i32.const 24)) (call $exit (i32.const 3))",
    data="line one\\nno such record!",
)

GROW_THEN_ABORT = command("""
 (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) unreachable""")
"""What a C program does whose malloc fails in a loop of small pieces and that then aborts."""

GROW_THEN_EXIT = command("""
 (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (call $exit (i32.const 1))""")

ASK_TOO_MUCH_AND_SAY_SO = command(
    """(if (i32.eq (memory.grow (i32.const 1000)) (i32.const -1))
     (then (call $put (i32.const 2) (i32.const 64) (i32.const 40)) unreachable))""",
    data="memory allocation of 65536000 bytes failed",
)
"""What a Rust program does with one allocation that is far too large."""

OUTGROWN_AT_ITS_OWN_MAXIMUM = command("(drop (memory.grow (i32.const 4))) (call $exit (i32.const 1))", memory="2 6")

WRITE_FILES = command(
    """(local $file i32)
 (call $put (i32.const 1) (i32.const 64) (i32.const 1))
 (local.set $file (call $create (i32.const 3) (i32.const 65) (i32.const 1)))
 (call $put (local.get $file) (i32.const 65) (i32.const 2))
 (drop (call $mkdir (i32.const 3) (i32.const 66) (i32.const 1)))
 (local.set $file (call $create (i32.const 3) (i32.const 66) (i32.const 3)))
 (call $put (local.get $file) (i32.const 64) (i32.const 5))
 (drop (call $symlink (i32.const 65) (i32.const 1) (i32.const 3) (i32.const 69) (i32.const 1)))""",
    data="szd/als",
)
"""stdout `s`; into /out: `z` with `zd`, `d/a` with `szd/a`, and a symlink `l` to it."""

WRITE_MUCH = command(
    """
 (local $left i32) (local $file i32) (local.set $left (i32.const 100))
 (local.set $file (call $create (i32.const 3) (i32.const 64) (i32.const 3)))
 (loop
  (call $put (i32.const 1) (i32.const 1024) (i32.const 1000))
  (call $put (local.get $file) (i32.const 1024) (i32.const 1000))
  (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))""",
    data="big",
)
"""100,000 bytes to stdout; with /out the same to /out/big."""

MANY_FILES = command(
    """
 (local $left i32) (local.set $left (i32.const 10001))
 (loop
  (call $letter (i32.const 64) (local.get $left) (i32.const 0))
  (call $letter (i32.const 65) (local.get $left) (i32.const 4))
  (call $letter (i32.const 66) (local.get $left) (i32.const 8))
  (call $letter (i32.const 67) (local.get $left) (i32.const 12))
  (drop (call $mkdir (i32.const 3) (i32.const 64) (i32.const 4)))
  (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))""",
    functions="""(func $letter (param $at i32) (param $number i32) (param $shift i32)
  (i32.store8 (local.get $at) (i32.add (i32.const 97)
   (i32.and (i32.shr_u (local.get $number) (local.get $shift)) (i32.const 15)))))""",
)
"""Makes 10,001 entries in the first directory, each of a name of its own."""

DEEP_DIRECTORIES = command(
    """
 (local $left i32) (local $at i32) (local.set $left (i32.const 3000)) (local.set $at (i32.const 3))
 (loop
  (drop (call $mkdir (local.get $at) (i32.const 64) (i32.const 3)))
  (drop (call $open (local.get $at) (i32.const 0) (i32.const 64) (i32.const 3)
   (i32.const 2) (i64.const 0x1fffffbf) (i64.const 0x1fffffbf) (i32.const 0) (i32.const 12)))
  (local.set $at (i32.load (i32.const 12)))
  (br_if 0 (local.tee $left (i32.sub (local.get $left) (i32.const 1)))))""",
    data="ddd",
)

COPY_INPUT_FILE = command(
    """
 (call $put (i32.const 1) (i32.const 1024)
  (call $get (call $open_file (i32.const 3) (i32.const 64) (i32.const 5)) (i32.const 1024)))
 (call $put (i32.const 1) (i32.const 1024) (call $get (i32.const 0) (i32.const 1024)))""",
    data="d/a.c",
)
"""The file d/a.c of the first directory, then stdin."""
