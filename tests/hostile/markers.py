"""What one holder leaves wherever a tasklet can, and what the next one does to find it."""

from pathlib import Path

from tasklet_runner.wire.programs import DEFAULT_PYTHON_RUNTIME, Language, Limits, Mode, Program, Task
from tasklet_runner.wire.work import Prepared, PrepareFailed
from tests.hostile.desk import Desk
from tests.hostile.wasi import command

MARKER = b"Planted-7f3a9c-by-another"

_LIMITS = Limits(fuel=10**11, memory=64 * 1024 * 1024, max_output=1024 * 1024)
_PAGES = 900
_SCRIPTS = Limits(fuel=10**12, memory=96 * 1024 * 1024, max_output=1024 * 1024)

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


def search_memory() -> bytes:
    """Writes every byte of 900 fresh pages of linear memory that is not zero, with some that follow."""
    return command(
        f"""(local $at i32) (drop (memory.grow (i32.const {_PAGES}))) (local.set $at (i32.const 4096)) (loop
  (if (i64.ne (i64.load (local.get $at)) (i64.const 0))
   (then (drop (call $write (i32.const 1) (local.get $at) (i32.const 64)))))
  (br_if 0 (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const {_PAGES * 65536 - 64}))))"""
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
for root, names, files in os.walk("/"):
    print(root, names, files)
    for name in files:
        if not root.startswith("/usr"):
            try: print(name, open(os.path.join(root, name), "rb").read()[:100_000])
            except OSError: pass
for path in ("/proc/self/environ", "/proc/self/maps", "/proc/1/environ", "/out/../stdout", "/out/../../0/stdout",
             "../held", "/in/../../blobs", "/dev/shm", "/tmp"):
    try: print(path, os.listdir(path))
    except OSError: pass
    try: print(open(path, "rb").read())
    except OSError: pass
for number in range(3, 200):
    try: print(number, os.fstat(number), os.read(number, 100_000))
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


async def hunt(desk: Desk, python: str, slots: int, stolen: str) -> bytes:
    """Everything that hostile readers got to read in every slot. `stolen`: the digest of a blob of somebody else."""
    read = b""
    wasm = await prepared(desk, search_memory())
    script = await prepared(desk, HUNT.encode(), python, output_files=True, input_files=True)
    loop = await prepared(desk, HUNT_LOOP.encode(), python, mode=Mode.LOOP)
    for slot in range(slots):
        for program in (wasm, script, loop):
            results, _ = await desk.run(program, slot, [Task(0, 1, "0-x")])
            assert results[0].outcome.fault is None, results[0].outcome.fault
            read += results[0].outcome.stdout + results[0].outcome.stderr
    answer = await desk.prepare(Program(name="stolen", language=Language.WASM, source=stolen, limits=_LIMITS))
    assert isinstance(answer, PrepareFailed), "the blob of another holder was there"
    results, _ = await desk.run(script, 0, [Task(1, 1, "1-x", input_blob=stolen)])
    assert results[0].outcome.fault is not None, "the blob of another holder was unpacked"
    return read


def in_files(root: Path) -> list[str]:
    """Files below a directory that have the marker in their names or bytes."""
    return [str(path) for path in root.rglob("*") if MARKER in bytes(path) or MARKER in _bytes_of(path)]


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return b""  # gone since it was listed
