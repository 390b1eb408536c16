"""What a forked child says of the work that it was given."""

import asyncio
import os
import signal

import pytest

from tasklet_runner.member.children import in_child
from tasklet_runner.wire.errors import InputError


def fail() -> None:
    raise InputError("it is broken", remedy="mend it")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_work_that_was_done_needs_no_words() -> None:
    assert asyncio.run(in_child(lambda: None)) == ""


def test_work_that_failed_says_why() -> None:
    assert asyncio.run(in_child(fail)) == "it is broken (mend it)"


@pytest.mark.unhappy("a child of a member that is killed before its work is done")
def test_work_that_was_broken_off_is_not_taken_for_done() -> None:
    assert "killed" in asyncio.run(in_child(die))
