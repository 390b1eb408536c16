"""Shared by the process tests."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasklet_runner.sandbox.precompiled import FOLDER_VARIABLE
from tests.support.python_members import encrypted_python, ship_python
from tests.support.s3 import S3Server, s3_server


@pytest.fixture(scope="session")
def native_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the interpreter's native code, made once for all workers of a session: it takes 5 CPU seconds."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "python"
    ship_python(folder)
    return folder


@pytest.fixture
def shipped_python(native_python: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Members start as those of an image do, with the interpreter's native code at hand."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(native_python))


@pytest.fixture(scope="session")
def compiled_python(native_python: Path) -> None:
    """The interpreter is compiled before a connection stands: one on which nobody reads is closed after a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(native_python))
        asyncio.run(encrypted_python())


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3-compatible server that all tests share: each has a prefix of its own."""
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as server:
        yield server
