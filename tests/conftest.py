"""Shared by every tier: the list of unhappy paths beside the tests that show them (`make unhappy`)."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--paths", action="store_true", help="list each unhappy path beside its test")


def pytest_collection_finish(session: pytest.Session) -> None:
    if not session.config.getoption("--paths"):
        return
    rows = [
        (str(marker.args[0]), item.nodeid) for item in session.items for marker in item.iter_markers(name="unhappy")
    ]
    print()
    for path in sorted({path for path, _ in rows}):
        print(path)
        for node in sorted(node for candidate, node in rows if candidate == path):
            print(f"    {node}")
