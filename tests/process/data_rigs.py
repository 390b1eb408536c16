"""Servers of data for the process tests: one S3 server for all of a session."""

from collections.abc import Iterator

import pytest

from tests.support.s3 import S3Server, s3_server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """A server that all tests share: each has a prefix of its own."""
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as server:
        yield server
