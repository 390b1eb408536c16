"""Python tasklets on real members: the interpreter is compiled once per session and given to each member as code."""

import asyncio
import fcntl
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from tasklet_runner.client.work import WorkConnection
from tasklet_runner.wire.programs import DEFAULT_PYTHON_RUNTIME, Language, Limits, Mode, Mount, Program, Result, Task
from tasklet_runner.wire.work import CODE_KEY_INFO, CodeKey, Prepare, Prepared, PrepareFailed, Results, Run
from tests.support.members import expect, send_blobs
from tests.support.running import REPOSITORY

KEY = bytes(range(32))

_MAKE = """
import sys
from tasklet_runner.member.sealing import associated_data, encrypt_code
from tasklet_runner.sandbox.compiling import CompileBounds, CompileChild
from tasklet_runner.sandbox.engine import fingerprint
from tasklet_runner.sandbox.precompiled import open_precompiled
from tasklet_runner.sandbox.python_runtime import runtime_path
from tasklet_runner.wire.programs import DEFAULT_PYTHON_RUNTIME
code = open_precompiled(DEFAULT_PYTHON_RUNTIME)
if code is None:
    code = CompileChild.start(runtime_path(), CompileBounds(1 << 30, wall_seconds=600)).finish()
bound_to = associated_data(DEFAULT_PYTHON_RUNTIME, fingerprint())
sys.stdout.buffer.write(encrypt_code(bytes(range(32)), code, bound_to))
"""

_made: list[bytes] = []


@dataclass(frozen=True)
class Script:
    """A Python file and what its program declares."""

    text: str
    mode: Mode = Mode.FRESH
    environment: tuple[tuple[str, str], ...] = ()
    mounts: tuple[Mount, ...] = ()
    output_files: bool = False
    limits: Limits = field(default_factory=lambda: Limits(fuel=10**11))
    partitions: int = 0


def ship_python(folder: Path) -> None:
    """The interpreter's native code in this folder, as an image has it, made by the first process that asks."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not [*folder.glob("*.cwasm")]:
            command = [sys.executable, "-m", "tasklet_runner", "precompile", "--into", str(folder)]
            subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.DEVNULL, check=True)


async def encrypted_python() -> bytes:
    """The interpreter's native code under `KEY`, made once by another process; from `ship_python`'s where that is."""
    if not _made:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", _MAKE, stdout=subprocess.PIPE)
        code, _ = await process.communicate()
        assert process.returncode == 0
        _made.append(code)
    return _made[0]


async def give_key(connection: WorkConnection, key: bytes) -> None:
    """Seal a code key to the member."""
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    public = X25519PublicKey.from_public_bytes(connection.hello.sealing_key)
    await connection.send(CodeKey(suite.encrypt(key, public, CODE_KEY_INFO)))


async def prepare_script(connection: WorkConnection, script: Script, number: int = 0) -> Prepared | PrepareFailed:
    """Make the script ready as this program, with code that was compiled before."""
    await give_key(connection, KEY)
    source, code = await send_blobs(connection, script.text.encode(), await encrypted_python())
    program = Program(
        name="tool",
        language=Language.PYTHON,
        source=source,
        runtime=DEFAULT_PYTHON_RUNTIME,
        mode=script.mode,
        environment=script.environment,
        limits=script.limits,
        mounts=script.mounts,
        output_files=script.output_files,
        partitions=script.partitions,
    )
    await connection.send(Prepare(number, program, code=code))
    return await expect(connection, Prepared | PrepareFailed)  # type: ignore[arg-type,return-value]  # a union works


async def ask(connection: WorkConnection, *tasks: Task, frame: int = 1, program: int = 0) -> list[Result]:
    """Run the tasks in one frame; their results."""
    await connection.send(Run(0, frame, program, tasks))
    results: list[Result] = []
    while True:
        answer = await expect(connection, Results)
        assert isinstance(answer, Results)
        results += answer.results
        if answer.done:
            return results
