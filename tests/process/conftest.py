"""Shared by the process tests."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.python_members import encrypted_python
from tests.support.s3 import S3Server, s3_server


@pytest.fixture(scope="session")
def compiled_python() -> None:
    """The interpreter is compiled before a connection stands: one on which nobody reads is closed after a while."""
    asyncio.run(encrypted_python())


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An S3-compatible server that all tests share: each has a prefix of its own."""
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as server:
        yield server
