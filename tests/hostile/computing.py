"""Modules that compute, recurse, grow or sleep for ever."""

from collections.abc import Iterator
from functools import partial

from tasklet_runner.wire.programs import Limits
from tests.hostile.cases import CLOCKED, SMALL, Case
from tests.hostile.wasi import command, exiting

OUT_OF_FUEL, TIMED_OUT, MEMORY = "OutOfFuel", "TimedOut", "MemoryExceeded"
OVERFLOW, UNREACHABLE = "Trapped(STACK_OVERFLOW)", "Trapped(UNREACHABLE)"
OUT_OF_BOUNDS, TABLE_BOUNDS = "Trapped(MEMORY_OUT_OF_BOUNDS)", "Trapped(TABLE_OUT_OF_BOUNDS)"

MUCH = Limits(fuel=10**15, memory=64 * 1024 * 1024, wall_seconds=1, max_output=200_000)

_CLOCK = "(drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 1024)))"
_GROW = "(loop (br_if 0 (i32.ne (memory.grow (i32.const 4)) (i32.const -1))))"


def cases() -> Iterator[Case]:
    """Kinds: loops, start functions, recursion, memory growth, table growth, bulk storms, sleep, random numbers."""
    yield from _loops()
    yield from _starts()
    yield from _recursions()
    yield from _memories()
    yield from _tables()
    yield from _bulk()
    yield from _sleeps()


def _loops() -> Iterator[Case]:
    of = partial(Case, "endless loop")
    yield of("with bounded fuel", lambda: command("(loop (br 0))"), reason=OUT_OF_FUEL)
    yield of("with fuel for ever", lambda: command("(loop (br 0))"), TIMED_OUT, limits=CLOCKED)
    yield of("of calls", lambda: command("(loop (call $f) (br 0))", declared="(func $f)"), OUT_OF_FUEL)
    yield of("of host calls", lambda: command(f"(loop {_CLOCK} (br 0))"), TIMED_OUT, limits=CLOCKED)
    yield of("of tail calls", lambda: command("(call $f)", declared="(func $f (return_call $f))"), OUT_OF_FUEL)
    yield of(
        "through a jump table",
        lambda: command("(loop $a (br_table $a $a $a (i32.const 1)))"),
        TIMED_OUT,
        limits=CLOCKED,
    )


def _starts() -> Iterator[Case]:
    of = partial(Case, "start function")
    yield of("that loops", lambda: command("", start="(loop (br 0))"), reason=OUT_OF_FUEL)
    yield of("that loops with fuel for ever", lambda: command("", start="(loop (br 0))"), TIMED_OUT, limits=CLOCKED)
    yield of("that traps", lambda: command("", start="unreachable"), UNREACHABLE)
    yield of("that recurses", lambda: command("", start="(call $begin)"), OVERFLOW)
    yield of("that exits", lambda: command("", start="(call $proc_exit (i32.const 7))"), "ExitCode(7)")
    yield of("that sleeps", lambda: command("", start=_sleep(60_000_000_000)), TIMED_OUT, limits=CLOCKED)


def _recursions() -> Iterator[Case]:
    of = partial(Case, "recursion", reason=OVERFLOW)
    many = "".join(f"(local $l{n} i64)" for n in range(1000))
    used = "".join(f"(local.set $l{n} (i64.load (i32.const {8 * n})))" for n in range(1000))
    kept = "".join(f"(i64.store (i32.const {8 * n}) (local.get $l{n}))" for n in range(1000))
    yield of("of one function", lambda: command("(call $f)", declared="(func $f (call $f) (call $f))"))
    yield of(
        "of two functions",
        lambda: command("(call $f)", declared="(func $f (call $g) (nop)) (func $g (call $f) (nop))"),
    )
    yield of(
        "through a table",
        lambda: command(
            "(call $f)",
            declared="(table 1 funcref) (elem (i32.const 0) $f) (type $t (func))"
            "(func $f (call_indirect (type $t) (i32.const 0)) (nop))",
        ),
    )
    yield of("with frames of 8 KiB", lambda: command("(call $f)", declared=f"(func $f {many} {used} (call $f) {kept})"))


def _memories() -> Iterator[Case]:
    of = partial(Case, "memory growth", reason=MEMORY)
    says = "memory allocation of 1073741824 bytes failed"
    yield of("in small steps, then abort", lambda: command(f"{_GROW} unreachable"))
    yield of("in small steps, then exit", lambda: command(f"{_GROW} (call $proc_exit (i32.const 1))"))
    yield of(
        "by one large piece that it then laments",
        lambda: command(
            "(drop (memory.grow (i32.const 16384))) (drop (call $write (i32.const 2) @says)) unreachable",
            texts={"says": says},
        ),
    )
    yield of("before it begins", lambda: command("", memory="200"))
    yield of("asked for ever", lambda: command("(loop (drop (memory.grow (i32.const 1))) (br 0))"), reason=OUT_OF_FUEL)


def _tables() -> Iterator[Case]:
    of = partial(Case, "table growth")
    table = "(table $t 1 funcref)"
    grow = "(table.grow $t (ref.null func) (i32.const 65536))"
    more = "".join("(table 10 funcref)" for _ in range(17))
    yield of(
        "until it is refused",
        lambda: command(f"(loop (br_if 0 (i32.ne {grow} (i32.const -1)))) unreachable", declared=table),
        UNREACHABLE,
    )
    yield of(
        "by all at once",
        lambda: exiting("(i32.sub (i32.const 43) (table.grow $t (ref.null func) (i32.const -2)))", declared=table),
        "ExitCode(44)",
    )
    yield of("asked for ever", lambda: command(f"(loop (drop {grow}) (br 0))", declared=table), OUT_OF_FUEL)
    yield of(
        "before it begins",
        lambda: command("", declared="(table 10000000 funcref)"),
        "BadModule",
        prepares=False,
    )
    yield of("in seventeen tables", lambda: command("", declared=more), "BadModule", prepares=False)


def _bulk() -> Iterator[Case]:
    of = partial(Case, "bulk storm")
    big, size = "900", 900 * 65536
    table = "(table $t 1000000 funcref)"
    fill = f"(memory.fill (i32.const 0) (i32.const 7) (i32.const {size}))"
    copy = f"(memory.copy (i32.const 1) (i32.const 0) (i32.const {size - 1}))"
    spread = "(table.fill $t (i32.const 0) (ref.null func) (i32.const 1000000))"
    shift = "(table.copy $t $t (i32.const 1) (i32.const 0) (i32.const 999999))"
    for name, storm in (("memory.fill", fill), ("memory.copy", copy)):
        yield of(
            f"of {name}",
            lambda storm=storm: command(f"(loop {storm} (br 0))", memory=big),  # type: ignore[misc]  # bound here
            TIMED_OUT,
            limits=MUCH,
        )
    for name, storm in (("table.fill", spread), ("table.copy", shift)):
        yield of(
            f"of {name}",
            lambda storm=storm: command(f"(loop {storm} (br 0))", declared=table),  # type: ignore[misc]  # as above
            TIMED_OUT,
            limits=MUCH,
        )
    yield of(
        "of memory.fill with bounded fuel",
        lambda: command(f"(loop {fill} (br 0))", memory=big),
        OUT_OF_FUEL,
        limits=Limits(fuel=10**9, memory=64 * 1024 * 1024, wall_seconds=60),
    )
    yield of(
        "past the end of memory",
        lambda: command("(memory.fill (i32.const 65536) (i32.const 7) (i32.const -1))"),
        OUT_OF_BOUNDS,
    )
    yield of(
        "of table.init past its segment",
        lambda: command(
            "(table.init $t $e (i32.const 0) (i32.const 0) (i32.const 9999))",
            declared="(table $t 10000 funcref) (elem $e func $main)",
        ),
        TABLE_BOUNDS,
    )


def _sleep(nanoseconds: int, clock: int = 1) -> str:
    """A subscription of 48 bytes at 1024 (tag 0: a clock), its event at 2048."""
    return f"""(i32.store (i32.const 1040) (i32.const {clock})) (i64.store (i32.const 1048) (i64.const {nanoseconds}))
 (drop (call $poll_oneoff (i32.const 1024) (i32.const 2048) (i32.const 1) (i32.const 12)))"""


def _sleeps() -> Iterator[Case]:
    of = partial(Case, "sleep", reason=TIMED_OUT, limits=CLOCKED)
    # 2,000 subscriptions, each a minute; 100,000 more are refused or waited for, never allocated without a bound.
    many = """(local $n i32) (loop
  (i32.store (i32.add (i32.const 65552) (i32.mul (local.get $n) (i32.const 48))) (i32.const 1))
  (i64.store (i32.add (i32.const 65560) (i32.mul (local.get $n) (i32.const 48))) (i64.const 60000000000))
  (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const {count}))))
 (drop (call $poll_oneoff (i32.const 65536) (i32.const 7000000) (i32.const {count}) (i32.const 12)))"""
    yield of("of a minute", lambda: command(_sleep(60_000_000_000)))
    yield of("of five hundred years", lambda: command(_sleep(2**63 - 1)))
    yield of("on the wall clock", lambda: command(_sleep(60_000_000_000, clock=0)))
    yield of("in naps of a millisecond", lambda: command(f"(loop {_sleep(1_000_000)} (br 0))"))
    yield of("on two thousand clocks", lambda: command(many.format(count=2000), memory="128"))
    yield of("on twenty thousand clocks", lambda: command(many.format(count=20_000), memory="128"))
    yield Case(
        "sleep",
        "on nothing",
        lambda: exiting("(call $poll_oneoff (i32.const 0) (i32.const 64) (i32.const 0) (i32.const 12))"),
        "ExitCode(28)",
        limits=SMALL,
    )
