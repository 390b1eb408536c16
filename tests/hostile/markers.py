"""What one holder leaves wherever a tasklet can, and what the next one does to find it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tasklet_runner.wire.programs import DEFAULT_PYTHON_RUNTIME, Language, Limits, Mode, Mount, Program, Task
from tasklet_runner.wire.work import Prepared, PrepareFailed
from tests.hostile.desk import Desk
from tests.hostile.files import archive
from tests.hostile.wasi import command

MARKER = b"Planted-7f3a9c-by-another"

_LIMITS = Limits(fuel=10**11, memory=64 * 1024 * 1024, max_output=1024 * 1024)
_PAGES = 900
_SCRIPTS = Limits(fuel=10**12, memory=96 * 1024 * 1024, wall_seconds=3600, max_output=1024 * 1024)

# The file's own text must not hold the marker where a script looks for it in itself: it is put together.
_PUT_TOGETHER = f"marker = {MARKER[:9].decode()!r} + {MARKER[9:].decode()!r}"


def fill_memory() -> bytes:
    """Fills 900 pages of linear memory, stdout and stderr with the marker, and writes it into /out."""
    return command(
        f"""(local $at i32) (drop (memory.grow (i32.const {_PAGES})))
 (local.set $at (i32.const 65536)) (loop (memory.copy (local.get $at) @marker)
  (local.set $at (i32.add (local.get $at) (i32.const {len(MARKER)})))
  (br_if 0 (i32.lt_u (local.get $at) (i32.const {_PAGES * 65536}))))
 (drop (call $write (i32.const 1) @marker)) (drop (call $write (i32.const 2) @marker))
 (drop (call $open (i32.const 3) @marker (i32.const 1)))
 (drop (call $write (i32.load (i32.const 12)) (i32.const 65536) (i32.const 100000)))""",
        texts={"marker": MARKER},
    )


def search_memory(*, planted: bool = False) -> bytes:
    """Writes every byte of 900 fresh pages of linear memory that is not zero, with some that follow. `planted`: has put
    the marker into one of them before, and so must find it.
    """
    plant = f"(memory.copy (i32.const {_PAGES * 32768}) @marker)" if planted else ""
    return command(
        f"""(local $at i32) (drop (memory.grow (i32.const {_PAGES}))) {plant} (local.set $at (i32.const 4096)) (loop
  (if (i64.ne (i64.load (local.get $at)) (i64.const 0))
   (then (drop (call $write (i32.const 1) (local.get $at) (i32.const 64)))))
  (br_if 0 (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const {_PAGES * 65536 - 64}))))""",
        texts={"marker": MARKER} if planted else {},
    )


PLANT = f"""
import os, sys
{_PUT_TOGETHER}
kept = [marker * 100 + str(n) for n in range(10_000)]
for place in ("/out", "/durable", "/tmp", "/"):
    try: open(place + "/" + marker, "w").write(marker * 9000)
    except OSError: pass
os.environ["PLANTED"] = marker
print(marker, len(kept), os.environ["MARKER"]); sys.stderr.write(marker)
"""

HUNT = """
import gc, os, sys
print(dict(os.environ), sys.argv, sys.path, list(sys.modules))
# What is shown to a tasklet hangs below no root of its own: each place has to be named.
for place in ("/", "/in", "/out", "/durable", "/mount", "/tasklet", "/tmp", "/proc", "/etc", "/scratch", "."):
    for root, names, files in os.walk(place):
        print(root, names, files)
        for name in files:
            try: print(name, open(os.path.join(root, name), "rb").read()[:2000])
            except OSError: pass
for path in ("/proc/self/environ", "/proc/self/maps", "/proc/1/environ", "/out/../stdout", "/out/../../0/stdout",
             "../held", "/in/../../blobs", "/dev/shm", "/tmp"):
    try: print(path, os.listdir(path))
    except OSError: pass
    try: print(open(path, "rb").read()[:2000])
    except OSError: pass
for number in range(3, 200):
    try: print(number, os.fstat(number), os.read(number, 2000))
    except OSError: pass
print([bytes(bytearray(1 << 20)).strip(b"\\0") for _ in range(8)])
print([text for text in gc.get_objects() if isinstance(text, str) and len(text) > 10_000])
"""

_LOOP = "import sys, json\nheap = []\nfor line in sys.stdin:\n"
PLANT_LOOP = f"{_PUT_TOGETHER}\n{_LOOP} heap.append(marker * 10_000)\n" + (
    " print(json.dumps({'id': json.loads(line)['id'], 'output': marker}), flush=True)"
)
HUNT_LOOP = (
    f"{_LOOP} print(json.dumps({{'id': json.loads(line)['id'], 'output': str(heap) + str(globals())}}), flush=True)"
)
HUNT_OWN_LOOP = f"{_PUT_TOGETHER}\n{HUNT_LOOP}"

REST = f"{PLANT}\nimport time\ntime.sleep(3600)\n"
"""Plants, and goes on running."""


async def prepared(desk: Desk, source: bytes, python: str = "", **fields: object) -> int:
    """The number of a program that is ready. `python`: the digest of the interpreter's code, for a script."""
    program = Program(
        name="tool",
        language=Language.PYTHON if python else Language.WASM,
        source=await desk.send(source),
        runtime=DEFAULT_PYTHON_RUNTIME if python else "",
        limits=_SCRIPTS if python else _LIMITS,
        **fields,  # type: ignore[arg-type]  # fields of Program
    )
    answer = await desk.prepare(program, python)
    assert isinstance(answer, Prepared), answer
    return answer.program_id


async def plant(desk: Desk, python: str, slots: int) -> int:
    """Leave the marker in memory, heaps, scratch, held outputs, caches, environment and logs of every slot; how often
    a tasklet showed that it did.
    """
    shown = 0
    wasm = await prepared(desk, fill_memory(), output_files=True, environment=(("MARKER", MARKER.decode()),))
    script = await prepared(desk, PLANT.encode(), python, output_files=True, environment=(("MARKER", MARKER.decode()),))
    loop = await prepared(desk, PLANT_LOOP.encode(), python, mode=Mode.LOOP)
    for slot in range(slots):
        for number, program in enumerate((wasm, script, loop)):
            results, _ = await desk.run(program, slot, [Task(10 * slot + number, 1, f"{MARKER.decode()}-x", MARKER)])
            outcome = results[0].outcome
            shown += outcome.held_bytes > 0 or MARKER in outcome.stdout
    return shown


@dataclass(frozen=True)
class Hunt:
    """Readers that are ready to run: of fresh memory, of every place, of a Loop program's heap; and the same ones with
    the marker in places of their own, each with what it must find there.
    """

    desk: Desk
    readers: tuple[int, ...]
    controls: tuple[tuple[int, tuple[bytes, ...]], ...]

    @classmethod
    async def ready(cls, desk: Desk, python: str) -> Self:
        """Prepare all of them."""
        mount = Mount(path="/mount", digest=await desk.send(archive(planted=MARKER + b"-mount")))
        planted = {"mounts": (mount,), "environment": (("PLANTED", f"{MARKER.decode()}-variable"),)}
        script = await prepared(desk, HUNT.encode(), python, output_files=True, input_files=True)
        return cls(
            desk,
            readers=(
                script,
                await prepared(desk, search_memory()),
                await prepared(desk, HUNT_LOOP.encode(), python, mode=Mode.LOOP),
            ),
            controls=(
                (await prepared(desk, search_memory(planted=True)), (MARKER,)),
                (await prepared(desk, HUNT_OWN_LOOP.encode(), python, mode=Mode.LOOP), (MARKER,)),
                (
                    await prepared(desk, HUNT.encode(), python, input_files=True, **planted),
                    tuple(MARKER + place for place in (b"-mount", b"-variable", b"-input")),
                ),
            ),
        )

    async def read(self, slots: Sequence[int]) -> bytes:
        """All that the readers got to read in these slots; afterwards they find what is theirs."""
        read = b"".join([await self._run(program, slot, b"") for slot in slots for program in self.readers])
        for program, planted in self.controls:
            found = await self._run(program, slots[0], MARKER + b"-input")
            assert [place for place in planted if place not in found] == [], "a reader is blind"
        return read

    async def steal(self, blob: str) -> None:
        """Ask for a blob of somebody else by its digest, which must not be there."""
        stolen = Program(name="stolen", language=Language.WASM, source=blob, limits=_LIMITS)
        assert isinstance(await self.desk.prepare(stolen), PrepareFailed), "the blob of another holder was there"
        results, _ = await self.desk.run(self.readers[0], 0, [Task(1, 1, "1-x", input_blob=blob)])
        assert results[0].outcome.fault is not None, "the blob of another holder was unpacked"

    async def _run(self, program: int, slot: int, data: bytes) -> bytes:
        results, _ = await self.desk.run(program, slot, [Task(0, 1, "0-x", data, "planted")])
        outcome = results[0].outcome
        # What is held is not seen here: so much must not have been read.
        assert (outcome.fault, outcome.held_bytes) == (None, 0)
        return outcome.stdout + outcome.stderr


def in_files(root: Path) -> list[str]:
    """Files below a directory that have the marker in their names or bytes."""
    return [str(path) for path in root.rglob("*") if MARKER in bytes(path) or MARKER in _bytes_of(path)]


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return b""  # gone since it was listed
