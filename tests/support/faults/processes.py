"""Stops, continues and kills processes with all that they started."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from tests.support.listing import processes_of
from tests.support.running import wait_until


def tree_of(pid: int) -> list[psutil.Process]:
    """The process and everything below it, parents first; empty when it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def signal_tree(pid: int, number: signal.Signals) -> int:
    """Send a signal to the whole tree, parents first; how many took it."""
    taken = 0
    for process in tree_of(pid):
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)
            taken += 1
    return taken


def kill_tree(pid: int) -> int:
    """SIGKILL for all of it, as a power cut: stopped first, so that none sees another die. How many were killed."""
    found = tree_of(pid)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
    # Looked at and not waited for: whoever waits for a child takes its exit status from the one that started it.
    wait_until(lambda: not any(map(_runs, found)), 30, "the processes to be gone")
    return len(found)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def stopped(pid: int, *, tree: bool = False) -> Iterator[None]:
    """SIGSTOP at the beginning of the block, SIGCONT at its end; the process alone, or with all that it started."""
    send = signal_tree if tree else os.kill
    send(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            send(pid, signal.SIGCONT)


def member_processes(root: Path) -> list[psutil.Process]:
    """The members' main processes: children of the zygote, which is a child of the command."""
    try:
        forked = [process for process in processes_of(root) if "zygote" in process.cmdline()]
        return [process for process in forked if sum("zygote" in parent.cmdline() for parent in process.parents()) == 1]
    except psutil.NoSuchProcess:
        return []
