"""Text modules that export `step`: each keeps its state in another place."""

_IMPORTS = """
 (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
 (import "wasi_snapshot_preview1" "path_open"
   (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
 (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
"""

_HELPERS = """
 (func $put (param $at i32) (param $length i32)
  (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $length))
  (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
 (func $get (param $fd i32) (param $at i32) (param $length i32) (result i32)
  (i32.store (i32.const 0) (local.get $at)) (i32.store (i32.const 4) (local.get $length))
  (drop (call $read (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8)))
  (i32.load (i32.const 8)))
 (func $put_number (param $number i64)
  (i64.store (i32.const 16) (local.get $number)) (call $put (i32.const 16) (i32.const 8)))
"""


def stepping(body: str, *, parts: str = "", memory: str = "2", data: str = "") -> str:
    """A module whose `step` has this body, which leaves an i32. Addresses below 64 are scratch, `data` is at 64."""
    return f"""(module {_IMPORTS}
 (memory (export "memory") {memory}) (data (i32.const 64) "{data}")
 {_HELPERS} {parts}
 (func $step (export "step") (result i32) {body}))"""


HIDDEN = stepping(
    """
 (global.set $count (i32.add (global.get $count) (i32.const 1)))
 (global.set $long (i64.add (i64.mul (global.get $long) (i64.const 6364136223846793005)) (i64.const 11)))
 (global.set $single (f32.add (global.get $single) (f32.const 0.1)))
 (global.set $double (f64.div (f64.const 1) (f64.add (global.get $double) (f64.const 1.5))))
 (global.set $vector (i32x4.add (global.get $vector) (v128.const i32x4 1 2 3 4)))
 (call $put_number (global.get $long))
 (call $put_number (i64.extend_i32_u (i32.reinterpret_f32 (global.get $single))))
 (call $put_number (i64.reinterpret_f64 (global.get $double)))
 (call $put_number (i64x2.extract_lane 1 (global.get $vector)))
 (call $put_number (i64.extend_i32_u (i32.reinterpret_f32 (global.get $nan))))
 (global.set $nan (f32.reinterpret_i32 (i32.const 0x7fa12345)))
 (i32.lt_u (global.get $count) (i32.const 9))""",
    parts="""(global $fixed i32 (i32.const 7)) (global $count (mut i32) (i32.const 0))
 (global $long (mut i64) (i64.const 1))
 (global $single (mut f32) (f32.const 0)) (global $double (export "shown") (mut f64) (f64.const 0.3))
 (global $vector (mut v128) (v128.const i32x4 0 0 0 0)) (global $nan (mut f32) (f32.const 0))""",
)
"""Nine steps; all of its state is in globals, most of them not exported."""

GROWING = stepping(
    """
 (local $last i32)
 (drop (memory.grow (i32.const 3)))
 (local.set $last (i32.sub (i32.shl (memory.size) (i32.const 16)) (i32.const 8)))
 (i64.store (local.get $last) (i64.add (i64.load (i32.sub (local.get $last) (i32.const 196608))) (i64.const 3)))
 (i32.store8 (i32.const 64) (i32.const 0))
 (call $put_number (i64.load (local.get $last)))
 (call $put (i32.const 64) (i32.const 2))
 (i32.lt_u (memory.size) (i32.const 27))""",
    data="ab",
)
"""Nine steps; grows its memory by three pages in each, from two, and writes to the last of them."""

READING = stepping("""
 (local $got i32)
 (local.set $got (call $get (i32.const 0) (i32.const 1024) (i32.const 5)))
 (call $put (i32.const 1024) (local.get $got))
 (i32.ne (local.get $got) (i32.const 0))""")
"""Copies stdin to stdout, five bytes a step."""

INITIALIZED = stepping(
    """
 (i32.store (i32.const 128) (i32.add (i32.load (i32.const 128)) (i32.const 2)))
 (call $put_number (i64.load32_u (i32.const 128)))
 (i32.lt_u (i32.load (i32.const 128)) (i32.const 117))""",
    parts="""(func (export "_initialize")
  (i32.store (i32.const 128) (i32.add (i32.load (i32.const 128)) (i32.const 100))))
 (func $begin (drop (call $write (i32.const 1) (i32.const 32) (i32.const 1) (i32.const 8)))) (start $begin)
 (data (i32.const 32) "\\40\\00\\00\\00\\03\\00\\00\\00")""",
    data="go\\n",
)
"""A reactor of nine steps: `_initialize` adds 100, and a start function writes a line, every time."""


def returning(code: int, after: int = 2) -> str:
    """A step that returns 1, and `code` when it is called so often."""
    return stepping(
        f"""(global.set $n (i32.add (global.get $n) (i32.const 1)))
 (select (i32.const {code}) (i32.const 1) (i32.eq (global.get $n) (i32.const {after})))""",
        parts="(global $n (mut i32) (i32.const 0))",
    )


def trapping(after: int) -> str:
    """Writes its number, and traps in the middle of step `after`, when it has changed its memory."""
    return stepping(f"""
 (i32.store (i32.const 128) (i32.add (i32.load (i32.const 128)) (i32.const 1)))
 (call $put_number (i64.load32_u (i32.const 128)))
 (if (i32.eq (i32.load (i32.const 128)) (i32.const {after})) (then unreachable))
 (i32.const 1)""")


ENDLESS = stepping("(loop (br_if 0 (i32.const 0))) (i32.const 1)")

HOLDING = stepping(
    """
 (if (i32.eqz (global.get $file)) (then
   (drop (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 1)
     (i32.const 0) (i64.const 2) (i64.const 2) (i32.const 0) (i32.const 12)))
   (global.set $file (i32.load (i32.const 12)))))
 (global.set $got (call $get (global.get $file) (i32.const 1024) (i32.const 4)))
 (call $put (i32.const 1024) (global.get $got))
 (global.set $n (i32.add (global.get $n) (i32.const 1)))
 (if (i32.eq (global.get $n) (i32.const 4)) (then
   (drop (call $close (global.get $file))) (global.set $file (i32.const 0))))
 (i32.lt_u (global.get $n) (i32.const 7))""",
    parts="""(global $file (mut i32) (i32.const 0)) (global $got (mut i32) (i32.const 0))
 (global $n (mut i32) (i32.const 0))""",
    data="f",
)
"""Opens the file `f` of its first directory, reads four bytes of it in each step and closes it after the fourth."""
