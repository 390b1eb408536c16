"""Inputs, mounts, arguments and environments made to harm."""

import io
import tarfile
from collections.abc import Iterator
from functools import partial

from tasklet_runner.wire.programs import Limits
from tests.hostile.cases import SMALL, Case, Chunk, Program
from tests.hostile.files import archive
from tests.hostile.wasi import command, exiting

IO, MEMORY, UNSUPPORTED = "IoError", "MemoryExceeded", "Unsupported"


def cases() -> Iterator[Case]:
    """Kinds: path of an input, archive of an input, mount, flood of argv, flood of env, call with wrong values."""
    yield from _paths()
    yield from _archives()
    yield from _floods()
    yield from _calls()


def _quiet() -> bytes:
    return command("(drop (call $write (i32.const 1) @text))", texts={"text": "ran"})


def _paths() -> Iterator[Case]:
    for name, path in {
        "that leads up": "../../x",
        "that is absolute": "/etc/passwd",
        "with a NUL": "a\0b",
        "with a part of 300 letters": "a" * 300,
        "of 9,000 letters": "a/" * 4500 + "a",
        "that is no name": ".",
    }.items():
        yield Case("path of an input", name, _quiet, IO, program=Program(input_files=True), chunk=Chunk(b"x", path))


def _entry(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as writer:
        entry = tarfile.TarInfo(name)
        entry.type = kind
        entry.linkname = "/etc/passwd"
        for field, value in fields.items():
            setattr(entry, field, value)
        writer.addfile(entry)
    return buffer.getvalue()


def _headers(count: int) -> bytes:
    """Each says that a long name follows."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 2
    return (header.tobuf(tarfile.GNU_FORMAT) + b"n".ljust(512, b"\0")) * count


def _twice() -> bytes:
    return archive(in__a=b"1")[:1024] + archive(in__a__b=b"2")


_ARCHIVES = {
    "with ..": lambda: _entry("in/../../../x"),
    "with an absolute path": lambda: _entry("/etc/x"),
    "with a symlink": lambda: _entry("in/l", tarfile.SYMTYPE),
    "with a hard link": lambda: _entry("in/l", tarfile.LNKTYPE),
    "with a device": lambda: _entry("in/l", tarfile.CHRTYPE),
    "with a FIFO": lambda: _entry("in/l", tarfile.FIFOTYPE),
    "with a name of 300 letters": lambda: _entry("in/" + "n" * 300),
    "with a name of 5,000 letters": lambda: _entry("in/" + "n/" * 2500),
    "with a file that is a directory too": _twice,
    "with a header of a header of a header": lambda: _headers(5000),
    "with a time far off": lambda: _entry("in/a", pax_headers={"mtime": "1e300"}),
    "with a time that is no number": lambda: _entry("in/a", pax_headers={"mtime": "nan"}),
    "with a size that it has not": lambda: archive(in__a=b"x" * 5000)[:3000],
    "of noise": lambda: b"noise" * 1000,
    "with a file that is of 8 EiB": lambda: _entry("in/a", pax_headers={"size": str(2**63 - 1)}),
}


def _archives() -> Iterator[Case]:
    given = Program(input_files=True)
    for name, make in _ARCHIVES.items():
        yield Case("archive of an input", name, _quiet, IO, program=given, chunk=Chunk(archive=make))
        yield Case("mount", name, _quiet, IO, program=Program(mount=make), prepares=False)


_TINY = Limits(fuel=10**8, memory=1024 * 1024, wall_seconds=60)
_DOUBLING = (("A0", "x" * 1000), *((f"A{n}", f"$(A{n - 1})$(A{n - 1})") for n in range(1, 60)))


def _reader(what: str) -> bytes:
    """Makes room for all arguments, or variables, and reads them; says so when there is none."""
    return command(
        f"""(if (call ${what}_sizes_get (i32.const 8) (i32.const 12)) (then unreachable))
 (if (i32.eq (memory.grow (i32.shr_u (i32.load (i32.const 12)) (i32.const 16))) (i32.const -1))
  (then (drop (call $write (i32.const 2) @says)) (call $proc_exit (i32.const 1))))
 (drop (call ${what}_get (i32.const 65536) (i32.const 131072)))""",
        texts={"says": "out of memory"},
    )


def _blind(what: str) -> bytes:
    """Reads them without room."""
    return command(f"(drop (call ${what}_get (i32.const 0) (i32.const 1024)))")


def _floods() -> Iterator[Case]:
    for kind, what, long, many, doubling in (
        (
            "flood of argv",
            "args",
            Program(arguments=("x" * 3_000_000,)),
            Program(arguments=("abcdefghi",) * 300_000),
            Program(arguments=("$(A11)",) * 5000, environment=_DOUBLING[:12]),
        ),
        (
            "flood of env",
            "environ",
            Program(environment=(("A", "x" * 3_000_000),)),
            Program(environment=tuple((f"NAME_{n}", "a" * 20) for n in range(100_000))),
            Program(environment=_DOUBLING),
        ),
    ):
        reader, blind = partial(_reader, what), partial(_blind, what)
        yield Case(kind, "one of three megabytes", reader, MEMORY, limits=_TINY, program=long)
        yield Case(kind, "hundreds of thousands", reader, MEMORY, limits=_TINY, program=many)
        yield Case(kind, "past the end of memory", blind, "Trapped(WASI_CALL)", limits=_TINY, program=long)
        yield Case(kind, "that doubles again and again", _quiet, "CapacityExceeded", program=doubling, prepares=False)


def _calls() -> Iterator[Case]:
    of = partial(Case, "call with wrong values", reason="Trapped(WASI_CALL)", limits=SMALL)
    for name, call in {
        "a vector outside of memory": "(call $fd_write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 8))",
        "four GiB of randomness": "(call $random_get (i32.const 0) (i32.const -1))",
        "a path outside of memory": "(call $path_unlink_file (i32.const 3) (i32.const -9) (i32.const 100))",
        "a clock that is none": "(call $clock_time_get (i32.const 99) (i64.const 0) (i32.const 8))",
        "a result outside of memory": "(call $clock_time_get (i32.const 1) (i64.const 0) (i32.const -4))",
    }.items():
        yield of(name, partial(exiting, call), program=Program(output_files=True))
    yield of("an exit code of four billion", lambda: command("(call $proc_exit (i32.const -1))"))
    for name, code, call in (
        ("a descriptor that is none", 8, "(call $fd_write (i32.const -1) (i32.const 0) (i32.const 1) (i32.const 8))"),
        (
            "four billion subscriptions",
            48,
            "(call $poll_oneoff (i32.const 0) (i32.const 0) (i32.const -1) (i32.const 8))",
        ),
    ):
        yield of(name, partial(exiting, call), reason=f"ExitCode({code})")
