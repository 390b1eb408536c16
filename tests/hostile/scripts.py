"""Python files that want more than a tasklet has."""

from collections.abc import Iterator
from functools import partial

from tasklet_runner.wire.programs import Limits
from tests.hostile.cases import SCRIPT, Case, Program

PYTHON = Program(python=True)
LOOP = Program(python=True, loop=True)
FAILS, MEMORY, OUT_OF_FUEL, TIMED_OUT = "ExitCode(1)", "MemoryExceeded", "OutOfFuel", "TimedOut"

_SHORT = Limits(fuel=10**15, memory=SCRIPT.memory, wall_seconds=2, max_output=SCRIPT.max_output)
_LONG = Limits(fuel=10**15, memory=SCRIPT.memory, wall_seconds=60, max_output=SCRIPT.max_output)
_FEW = Limits(fuel=2 * 10**9, memory=SCRIPT.memory, wall_seconds=60, max_output=SCRIPT.max_output)


def cases() -> Iterator[Case]:
    """Kinds: Python that starts processes, opens sockets, reads the host, eats memory, loops, floods, breaks Loop."""
    for name, text, says in _REFUSED:
        kind, _, what = name.partition(": ")
        yield Case(f"Python {kind}", what, text.encode, FAILS, limits=SCRIPT, program=PYTHON, says=says)
    yield from _eaters()
    yield from _loops()
    yield from _floods()
    yield from _bad_loops()


_WALK = """
import os
found = [name for root, _, files in os.walk("/") for name in files if name in ("passwd", "shadow", "environ", "mem")]
raise SystemExit(f"found {found}" if found else "no such thing")
"""
_REFUSED = (
    ("starts processes: by fork", "import os; os.fork()", "fork"),
    ("starts processes: by exec", "import os; os.execv('/bin/sh', ['sh'])", ""),
    ("starts processes: by subprocess", "import subprocess; subprocess.run(['/bin/sh', '-c', 'id'])", ""),
    ("starts processes: by os.system", "import os; os.system('id')", "system"),
    ("starts processes: threads", "import threading; threading.Thread(target=print).start()", "thread"),
    ("starts processes: by multiprocessing", "import multiprocessing as m; p = m.Process(target=print); p.start()", ""),
    ("opens sockets: to the metadata service", "import socket; socket.create_connection(('169.254.169.254', 80))", ""),
    ("opens sockets: to listen", "import socket; s = socket.socket(); s.bind(('', 8080)); s.listen()", ""),
    ("opens sockets: on a path", "import socket; socket.socket(socket.AF_UNIX).connect('/run/m.sock')", ""),
    ("opens sockets: by urllib", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/v1/state')", ""),
    ("reads the host: passwd", "open('/etc/passwd').read()", "No such file"),
    ("reads the host: by ..", "open('../../../../../../../../etc/passwd').read()", ""),
    ("reads the host: /proc", "open('/proc/self/environ').read()", ""),
    ("reads the host: its own descriptors", "import os; [os.read(n, 1) for n in range(5, 100)]", "Bad file"),
    ("reads the host: by walking", _WALK, "no such thing"),
    ("reads the host: by a link", "import os; os.symlink('/etc/passwd', '/tasklet/l'); open('/tasklet/l')", ""),
    ("reads the host: by ctypes", "import ctypes; ctypes.string_at(0, 10)", "ctypes"),
    ("changes itself: its own file", "open('/tasklet/tool.py', 'w').write('print(1)')", ""),
    ("changes itself: a new module", "open('/tasklet/json.py', 'w').write('')", ""),
    ("changes itself: the clock", "import time; time.clock_settime(time.CLOCK_REALTIME, 0)", ""),
)


def _eaters() -> Iterator[Case]:
    of = partial(Case, "Python eats memory", reason=MEMORY, limits=SCRIPT, program=PYTHON)
    yield of("by one piece", lambda: b"kept = bytearray(1 << 30)")
    yield of("piece by piece", lambda: b"kept = []\nwhile True: kept.append(bytearray(1 << 20))")
    yield of("by a string that doubles", lambda: b"s = 'x' * 1000\nwhile True: s += s")
    yield of("by a number", lambda: b"n = 1 << (1 << 32)")


def _loops() -> Iterator[Case]:
    of = partial(Case, "Python loops for ever", program=PYTHON)
    yield of("with bounded fuel", lambda: b"while True: pass", OUT_OF_FUEL, limits=_FEW)
    yield of("with fuel for ever", lambda: b"while True: pass", TIMED_OUT, limits=_SHORT)
    yield of("in sleep", lambda: b"import time\ntime.sleep(3600)", TIMED_OUT, limits=_SHORT)
    yield of("in a regular expression", lambda: b"import re; re.match('(a*)*b', 'a' * 60)", TIMED_OUT, limits=_SHORT)
    yield of("in a number", lambda: b"print(len(str(7 ** (7 ** 12))))", TIMED_OUT, limits=_SHORT)
    yield of("in recursion", lambda: b"def f(): f()\nf()", FAILS, limits=SCRIPT, says="RecursionError")


def _floods() -> Iterator[Case]:
    of = partial(Case, "Python floods", program=PYTHON)
    yield of("stdout", lambda: b"while True: print('x' * 1000)", "OutputTooLarge", limits=_LONG)
    yield of(
        "stderr",
        lambda: b"import sys\nwhile True:\n try: sys.stderr.write('x' * 9999)\n except OSError: pass",
        TIMED_OUT,
        limits=_SHORT,
    )
    yield of(
        "/out",
        lambda: b"n = 0\nwhile True:\n open(f'/out/{n}', 'w').write('x' * 9999); n += 1",
        "OutputTooLarge",
        limits=_LONG,
        program=Program(python=True, output_files=True),
    )


def _bad_loops() -> Iterator[Case]:
    of = partial(Case, "Loop breaks its word", reason=FAILS, limits=_LONG, program=LOOP)
    reply = "import sys, json\nfor line in sys.stdin: sys.stdout.write({0}); sys.stdout.flush()"
    for name, said in {
        "with another's id": """'{"id": "9-x", "output": "1"}\\n'""",
        "with no JSON": "'hello\\n'",
        "with a list": "'[1, 2]\\n'",
        "with bytes that are no base64": """json.dumps({"id": json.loads(line)["id"], "output_base64": "?"}) + '\\n'""",
    }.items():
        yield of(name, reply.format(said).encode)
    yield of("with silence", lambda: b"import sys\nfor line in sys.stdin: pass", reason=TIMED_OUT, limits=_SHORT)
    yield of(
        "with a line without an end",
        lambda: b"import sys\nwhile True: sys.stdout.write('x' * 100_000)",
        reason="OutputTooLarge",
    )
    yield of("with JSON in JSON in JSON", lambda: reply.format("'[' * 200_000 + '\\n'").encode())
    yield of("with its end", lambda: b"raise SystemExit(0)", says="ended without a reply")
