"""Native code that came with an image is used where it is as trustworthy as our own code, and never anywhere else."""

import asyncio
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import wasmtime

from tasklet_runner.member.codes import Code, CodeShelf
from tasklet_runner.sandbox.compiling import CompileBounds
from tasklet_runner.sandbox.engine import new_engine, portable_fingerprint
from tasklet_runner.sandbox.loading import load_module
from tasklet_runner.sandbox.precompiled import FOLDER_VARIABLE, open_precompiled, precompile
from tasklet_runner.wire.errors import InputError

WASM = bytes(wasmtime.wat2wasm('(module (memory (export "memory") 1) (func (export "_start")))'))
DIGEST = hashlib.sha256(WASM).hexdigest()
NOBODY = 65534

PRECOMPILE = """
import sys
from pathlib import Path
from tasklet_runner.sandbox.precompiled import precompile
precompile(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
"""


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a module that an image has."""
    wasm, folder = tmp_path / "small.wasm", tmp_path / "precompiled"
    wasm.write_bytes(WASM)
    # In a process of its own, as its compiler has threads: one that compiles in a child must never have had any.
    subprocess.run([sys.executable, "-c", PRECOMPILE, str(wasm), DIGEST, str(folder)], check=True)
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    return next(folder.iterdir())


def code_of(wasm: Path) -> Code:
    async def story() -> Code:
        shelf = CodeShelf(CompileBounds(memory=512 * 1024 * 1024))
        try:
            return await shelf.get(DIGEST, lambda: wasm)
        finally:
            await shelf.close()

    return asyncio.run(story())


def test_a_module_of_the_image_is_ready_without_a_compilation(shipped: Path, tmp_path: Path) -> None:
    assert code_of(tmp_path / "is-not-read.wasm").compile_milliseconds == 0


def test_a_module_that_the_image_does_not_have_is_compiled(
    shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE)
    assert code_of(tmp_path / "small.wasm").compile_milliseconds > 0


def test_code_for_any_cpu_is_loaded_by_the_engine_that_runs_tasks(shipped: Path) -> None:
    code = open_precompiled(DIGEST)
    assert code is not None
    try:
        load_module(new_engine(), code)
    finally:
        os.close(code)


def for_another_engine(path: Path) -> None:
    path.rename(path.with_name(path.name.replace(portable_fingerprint(), "0" * 64)))


def writable_folder(path: Path) -> None:
    path.parent.chmod(0o777)


def no_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("gone"))


def another_owner(path: Path) -> None:
    os.chown(path, NOBODY, NOBODY)


def folder_of_another_owner(path: Path) -> None:
    os.chown(path.parent, NOBODY, NOBODY)


def a_link(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def a_directory(path: Path) -> None:
    path.unlink()
    path.mkdir(mode=0o755)


CANNOT_BE_TRUSTED: dict[str, Callable[[Path], None]] = {
    "code of another version or configuration of the engine": for_another_engine,
    "a file that the group may write": lambda path: path.chmod(0o464),
    "a file that anybody may write": lambda path: path.chmod(0o446),
    "a folder in which anybody may write": writable_folder,
    "a link in place of the file": a_link,
    "a directory in place of the file": a_directory,
    "a folder that is gone": no_folder,
}
OF_ANOTHER_OWNER: dict[str, Callable[[Path], None]] = {"file": another_owner, "folder": folder_of_another_owner}


@pytest.mark.unhappy("native code in the image that is not as trustworthy as the program itself")
@pytest.mark.parametrize("change", CANNOT_BE_TRUSTED.values(), ids=CANNOT_BE_TRUSTED)
def test_what_cannot_be_trusted_is_not_loaded(shipped: Path, change: Callable[[Path], None]) -> None:
    change(shipped)
    assert open_precompiled(DIGEST) is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("change", OF_ANOTHER_OWNER.values(), ids=OF_ANOTHER_OWNER)
def test_what_belongs_to_somebody_else_is_not_loaded(shipped: Path, change: Callable[[Path], None]) -> None:
    change(shipped)
    assert open_precompiled(DIGEST) is None


def test_what_cannot_be_compiled_is_said_when_the_image_is_built(tmp_path: Path) -> None:
    (tmp_path / "broken.wasm").write_bytes(b"no module")
    with pytest.raises(InputError, match=r"broken\.wasm cannot be compiled"):
        precompile(tmp_path / "broken.wasm", DIGEST, tmp_path)
