"""Modules that write without end, leave their directories, and use descriptors and names up."""

import io
import tarfile
from collections.abc import Iterator
from functools import partial

from tasklet_runner.wire.programs import Limits
from tests.hostile.cases import CLOCKED, Case, Chunk, Program
from tests.hostile.wasi import command, exiting

OUT = Program(output_files=True)
LARGE, TIMED_OUT = "OutputTooLarge", "TimedOut"
PERM, INVALID, READ_ONLY_BAD, NO_ENTRY = "ExitCode(63)", "ExitCode(28)", "ExitCode(8)", "ExitCode(44)"

FILES = Limits(fuel=10**9, memory=8 * 1024 * 1024, wall_seconds=60, max_output=200_000)
FILES_FOR_EVER = Limits(fuel=10**15, memory=8 * 1024 * 1024, wall_seconds=60, max_output=200_000)


def archive(**files: bytes) -> bytes:
    """A tar archive of these files; `__` in a name is a slash."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as writer:
        for name, data in files.items():
            entry = tarfile.TarInfo(name.replace("__", "/"))
            entry.size = len(data)
            writer.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def cases() -> Iterator[Case]:
    """Kinds: stdout flood, stderr flood, write storm, path escape, read-only breach, descriptors, directory bomb."""
    yield from _floods()
    yield from _storms()
    yield from _escapes()
    yield from _changes_outside()
    yield from _links()
    yield from _breaches()
    yield from _descriptors()
    yield from _bombs()


def _floods() -> Iterator[Case]:
    of = partial(Case, "flood of stdout", reason=LARGE)
    piece = "(drop (call $write (i32.const 1) (i32.const 65536) (i32.const 65536)))"
    letter = "(drop (call $write (i32.const 1) (i32.const 65536) (i32.const 1)))"
    vectors = """(local.set $n (i32.const 0)) (loop
  (i64.store (i32.mul (local.get $n) (i32.const 8)) (i64.const 0x10000000000))
  (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100000))))
 (drop (call $fd_write (i32.const 1) (i32.const 0) (i32.const 100000) (i32.const 900000)))"""
    yield of("that never looks back", lambda: command(f"(loop {piece} (br 0))"), limits=FILES_FOR_EVER)
    yield of("until fuel is out", lambda: command(f"(loop {piece} (br 0))"))
    yield of("letter by letter", lambda: command(f"(loop {letter} (br 0))"), limits=FILES_FOR_EVER)
    yield of("one byte past the limit", lambda: command(f"{piece} {piece} {piece} {piece}"))
    yield of(
        "in a hundred thousand pieces at once",
        lambda: command(f"(local $n i32) (loop {vectors} (br 0))", memory="16"),
        reason="OutOfFuel",
    )
    complain = piece.replace("i32.const 1)", "i32.const 2)", 1)
    errors = partial(Case, "flood of stderr")
    yield errors("for ever", lambda: command(f"(loop {complain} (br 0))"), TIMED_OUT, limits=CLOCKED)
    yield errors("until fuel is out", lambda: command(f"(loop {complain} (br 0))"), "OutOfFuel")
    yield errors(
        "and then an exit",
        lambda: command(complain * 40 + "(call $proc_exit (i32.const 9))"),
        "ExitCode(9)",
    )


def _storms() -> Iterator[Case]:
    of = partial(Case, "write storm", reason=LARGE, program=OUT)
    opened = """(local $fd i32) (drop (call $open (i32.const 3) @name (i32.const 1)))
 (local.set $fd (i32.load (i32.const 12)))"""
    piece = "(drop (call $write (local.get $fd) (i32.const 65536) (i32.const 65536)))"
    name = {"name": "file"}
    fresh = """(local $n i32) (loop
  (call $digits (i32.const 1024) (local.get $n))
  (drop (call $open (i32.const 3) (i32.const 1024) (i32.const 7) (i32.const 1)))
  (drop (call $write (i32.load (i32.const 12)) (i32.const 65536) (i32.const 65536)))
  (drop (call $fd_close (i32.load (i32.const 12))))
  (local.set $n (i32.add (local.get $n) (i32.const 1))) (br 0))"""
    yield of("into one file", lambda: command(f"{opened} (loop {piece} (br 0))", texts=name), limits=FILES_FOR_EVER)
    gone = "(drop (call $path_unlink_file (i32.const 3) (i32.const 1024) (i32.const 7)))"
    nameless = fresh.replace("(drop (call $fd_close (i32.load (i32.const 12))))", gone)
    yield of("into ever more files", lambda: command(fresh), limits=FILES_FOR_EVER)
    yield of("into ever more files that have no name", lambda: command(nameless), limits=FILES_FOR_EVER)
    yield of("that ends in time", lambda: command(opened + piece * 4, texts=name))
    yield of(
        "into one file that is gone again",
        lambda: command(
            f"{opened} (drop (call $path_unlink_file (i32.const 3) @name)) (loop {piece} (br 0))", texts=name
        ),
        limits=FILES_FOR_EVER,
    )
    yield of(
        "of holes up to 4 EiB",
        lambda: exiting(
            f"(call $fd_filestat_set_size (i32.load (i32.const 12)) (i64.const {2**62}))",
            texts=name,
            start="(drop (call $open (i32.const 3) @name (i32.const 1)))",
        ),
        reason="ExitCode(22)",
    )
    yield of(
        "behind a hole of 1 EiB",
        lambda: exiting(
            "(call $fd_pwrite (i32.load (i32.const 12)) (i32.const 0) (i32.const 1)"
            f" (i64.const {2**60}) (i32.const 8))",
            texts=name,
            start="(i32.store (i32.const 4) (i32.const 100)) (drop (call $open (i32.const 3) @name (i32.const 1)))",
        ),
        reason="ExitCode(22)",
    )


def _refused(kind: str, name: str, call: str, **given: str | bytes) -> Case:
    """One call that is refused. `given`: its texts, and `start` and `reason` where they are not the usual ones."""
    start, reason = str(given.pop("start", "")), str(given.pop("reason", PERM))
    return Case(kind, name, partial(exiting, call, texts=given, start=start), reason, program=OUT)


def _escapes() -> Iterator[Case]:
    of = partial(_refused, "path escape")
    up = "../../../../../../../../../../../../"
    read, list_in = "(call $open (i32.const 3) @path (i32.const 0))", "(call $directory (i32.const 3) @path)"
    make, make_in = (
        "(call $open (i32.const 3) @path (i32.const 1))",
        "(call $path_create_directory (i32.const 3) @path)",
    )
    own = "(drop (call $path_create_directory (i32.const 3) @own))"
    yield of("to the host's files by ..", read, path=f"{up}etc/passwd")
    yield of("to the host's files by an absolute path", read, path="/etc/passwd")
    yield of("with a slash at the end", list_in, path=f"{up}etc/")
    yield of("by .. behind a directory of its own", list_in, own="own", path="own/../..", start=own)
    yield of("by a file that is made outside", make, path="../marker")
    yield of("by a directory that is made outside", make_in, path="../marker")
    yield of("by a name with a NUL in it", read, path=b"own\0/../../stdout", reason=INVALID)
    yield of("by a name that is no UTF-8", read, path=b"\xff\xfe", reason="ExitCode(25)")


def _changes_outside() -> Iterator[Case]:
    of = partial(_refused, "path escape")
    rename = "(call $path_rename (i32.const 3) @{0} (i32.const 3) @path)".format
    unlink, remove = (f"(call $path_{act} (i32.const 3) @path)" for act in ("unlink_file", "remove_directory"))
    own = "(drop (call $open (i32.const 3) @own (i32.const 1)))"
    yield of("by renaming its directory's parent", rename("up"), up="..", path="mine")
    yield of("by renaming a file outwards", rename("own"), own="own", path="../own", start=own)
    yield of("by removing the directory above", remove, path="..")
    yield of("by removing a neighbour's file", unlink, path="../stdout")
    yield of("by removing its own root", remove, path=".", reason=INVALID)
    yield of("by renaming its own root", rename("own"), own=".", path="root", reason="ExitCode(10)")


def _links() -> Iterator[Case]:
    of = partial(_refused, "link")
    link = "(call $path_symlink @target (i32.const 3) @link)"
    made = f"(drop {link})"
    follow = """(call $path_open (i32.const 3) (i32.const 1) @link (i32.const 0) (i64.const 66) (i64.const 66)
   (i32.const 0) (i32.const 12))"""
    hard = "(call $path_link (i32.const 3) (i32.const 0) @target (i32.const 3) @link)"
    through = "(call $directory (i32.const 3) @through)"
    yield of("to an absolute path", link, target="/etc/passwd", link="l")
    yield of("up that is followed", follow, target="../../../../../../../../etc/passwd", link="l", start=made)
    yield of("to the directory above that is followed", follow, target="../stdout", link="l", start=made)
    yield of("that is followed with a slash at the end", through, target="../..", link="l", through="l/", start=made)
    yield of("to itself", follow, target="l", link="l", start=made, reason="ExitCode(32)")
    yield of("that is hard, to a file outside", hard, target="../stderr", link="l")


_FILE = {"file": "f", "mine": "mine"}


def _breaches() -> Iterator[Case]:
    given = Program(output_files=True, input_files=True)
    mounted = Program(output_files=True, mount=lambda: archive(f=b"shared by all"))
    # Preopens: mounts, then /out, then /in, from descriptor 3 on. ROFS is 69, PERM 63.
    for kind, where, out, program, chunk in (
        ("of /in", 4, 3, given, Chunk(b"input", "f")),
        ("of a mount", 3, 4, mounted, Chunk()),
    ):
        of = partial(Case, "breach of what may be read only", program=program, chunk=chunk, reason=PERM)
        place, own = f"(i32.const {where})", f"(i32.const {out})"
        acts = {
            "to be written": f"(call $open {place} @file (i32.const 0))",
            "to be emptied": f"(call $open {place} @file (i32.const 8))",
            "by a new file": f"(call $open {place} @mine (i32.const 1))",
            "by its removal": f"(call $path_unlink_file {place} @file)",
            "by a hard link in /out": f"(call $path_link {place} (i32.const 0) @file {own} @mine)",
            "by renaming it into /out": f"(call $path_rename {place} @file {own} @mine)",
            "by its times": f"(call $path_filestat_set_times {place} (i32.const 0) @file"
            " (i64.const 1) (i64.const 1) (i32.const 5))",
        }
        for name, act in acts.items():
            yield of(f"{kind}, {name}", lambda act=act: exiting(act, texts=_FILE))  # type: ignore[misc]  # bound here


def _descriptors() -> Iterator[Case]:
    of = partial(Case, "descriptors", program=OUT)
    again = "(loop (local.set $code (call {what})) (br_if 0 (i32.eqz (local.get $code))))"
    end = "(call $proc_exit (local.get $code))"
    same = again.format(what="$open (i32.const 3) @name (i32.const 1)")
    top = again.format(what="$directory (i32.const 3) @top")
    yield of(
        "of one file until none is left",
        lambda: command(f"(local $code i32) {same} {end}", texts={"name": "f"}),
        "ExitCode(29)",
        limits=FILES,
    )
    yield of(
        "of one directory until none is left",
        lambda: command(f"(local $code i32) {top} {end}", texts={"top": "."}),
        "ExitCode(29)",
        limits=FILES,
    )
    yield of(
        "and then a trap",
        lambda: command(f"(local $code i32) {same} unreachable", texts={"name": "f"}),
        "Trapped(UNREACHABLE)",
        limits=FILES,
    )
    yield of("renumbered far away", lambda: exiting("(call $fd_renumber (i32.const 1) (i32.const -1))"), READ_ONLY_BAD)
    yield of(
        "of its directories closed",
        lambda: exiting(
            "(call $open (i32.const 3) @name (i32.const 1))",
            texts={"name": "f"},
            start="(drop (call $fd_close (i32.const 3)))",
        ),
        READ_ONLY_BAD,
    )
    yield of(
        "of a socket that it has not",
        lambda: exiting("(call $sock_accept (i32.const 3) (i32.const 0) (i32.const 12))"),
        "ExitCode(57)",
    )


def _bombs() -> Iterator[Case]:
    of = partial(Case, "directory bomb", reason=LARGE, program=OUT)
    wide = """(local $n i32) (loop (call $digits (i32.const 1024) (local.get $n))
  (drop (call $path_create_directory (i32.const 3) (i32.const 1024) (i32.const 7)))
  (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {count}))))"""
    deep = """(local $at i32) (local $n i32) (local.set $at (i32.const 3)) (loop
  (drop (call $path_create_directory (local.get $at) @name)) (drop (call $directory (local.get $at) @name))
  (if (i32.gt_u (local.get $at) (i32.const 3)) (then (drop (call $fd_close (local.get $at)))))
  (local.set $at (i32.load (i32.const 12)))
  (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {count}))))"""
    yield of("of ten thousand and one", lambda: command(wide.format(count=10_001)), limits=FILES)
    yield of("without end", lambda: command(wide.format(count=2**31)), limits=FILES_FOR_EVER)
    yield of(
        "of three thousand in each other", lambda: command(deep.format(count=3000), texts={"name": "d"}), limits=FILES
    )
    yield of(
        "deeper and deeper, without end",
        lambda: command(deep.format(count=2**31), texts={"name": "dd"}),
        limits=FILES_FOR_EVER,
    )
    long = """(local $n i32) (memory.fill (i32.const 1024) (i32.const 110) (i32.const 240))
 (drop (call $path_create_directory (i32.const 3) @name)) (drop (call $directory (i32.const 3) @name))
 (i32.store (i32.const 32) (i32.load (i32.const 12))) (loop
  (call $digits (i32.const 1024) (local.get $n))
  (drop (call $open (i32.load (i32.const 32)) (i32.const 1024) (i32.const 240) (i32.const 1)))
  (drop (call $fd_close (i32.load (i32.const 12))))
  (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 9900))))"""
    yield of(
        "of empty files with names of four megabytes in all",
        lambda: command(long, texts={"name": "d" * 250}),
        limits=FILES,
    )
    yield of(
        "of names as long as can be", lambda: command(deep.format(count=20), texts={"name": "d" * 255}), limits=FILES
    )
