"""The member's log: never waits, says what it left out."""

import logging
import os
import select
from collections.abc import Iterator

import pytest

from tasklet_runner.member.logs import UnwaitingHandler


def record(words: str) -> logging.LogRecord:
    return logging.LogRecord("aiohttp.server", logging.ERROR, __file__, 1, words, (), None)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


@pytest.mark.unhappy("nobody reads the member's log")
def test_a_line_that_nobody_reads_is_dropped_and_counted_and_told_of_when_somebody_reads(pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    log = UnwaitingHandler(writes)
    os.set_blocking(reads, False)
    lines = 0
    while not log.dropped:
        log.emit(record("x" * 1000))
        lines += 1
    log.emit(record("dropped too"))
    assert log.dropped == 2
    read = os.read(reads, 1 << 20)
    assert read == (b"x" * 1000 + b"\n") * (lines - 1)
    log.emit(record("seen"))
    assert (os.read(reads, 1 << 20), log.dropped) == (b"(2 lines were dropped, as nobody read)\nseen\n", 0)


@pytest.mark.unhappy("a traceback without end")
def test_a_line_that_no_pipe_takes_at_once_keeps_its_beginning_and_its_end(pipe: tuple[int, int]) -> None:
    reads, writes = pipe
    UnwaitingHandler(writes).emit(record("begin" + "x" * 100_000 + "\udcffend"))
    read = os.read(reads, 1 << 20)
    assert len(read) == select.PIPE_BUF
    assert read.startswith(b"beginx")
    assert read.endswith(b"x\\udcffend\n")


@pytest.mark.unhappy("who read the log has gone")
def test_a_log_without_a_reader_is_no_fault() -> None:
    reads, writes = os.pipe()
    log = UnwaitingHandler(writes)
    os.close(reads)
    log.emit(record("unheard"))
    assert log.dropped == 1
    os.close(writes)
