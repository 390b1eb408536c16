"""Shared by the process tests."""

import asyncio

import pytest

from tests.support.python_members import encrypted_python


@pytest.fixture(scope="session")
def compiled_python() -> None:
    """The interpreter is compiled before a connection stands: one on which nobody reads is closed after a while."""
    asyncio.run(encrypted_python())
