"""Hints by datagram: the newest gets through, and nobody waits for a listener."""

import asyncio
import socket
from pathlib import Path

import msgspec

from tasklet_runner.member.hints import DatagramNotifier
from tasklet_runner.wire.member import Hint, MemberState


def hint(epoch: int) -> Hint:
    return Hint(member="m", incarnation="i", epoch=epoch, state=MemberState.READY)


def listener(path: Path) -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    made.bind(str(path))
    return made


def queued(heard: socket.socket) -> list[int]:
    """The epochs of all that is queued."""
    epochs = []
    try:
        while True:
            epochs.append(msgspec.json.decode(heard.recv(4096), type=Hint).epoch)
    except BlockingIOError:
        return epochs


def test_the_newest_hint_waits_until_the_queue_has_room(tmp_path: Path) -> None:
    async def story() -> None:
        with listener(tmp_path / "hints") as heard:
            notifier = DatagramNotifier(str(tmp_path / "hints"))
            for epoch in range(2000):
                notifier.tell(hint(epoch))
            first = queued(heard)
            assert first == list(range(len(first)))
            assert len(first) < 2000
            async with asyncio.timeout(10):
                while not (rest := queued(heard)):  # noqa: ASYNC110 - the socket has no event loop of its own here
                    await asyncio.sleep(0.01)
            assert rest == [1999]
            notifier.tell(hint(2000))
            assert queued(heard) == [2000]
            notifier.close()

    asyncio.run(story())


def test_a_listener_that_comes_late_hears_what_follows(tmp_path: Path) -> None:
    async def story() -> None:
        notifier = DatagramNotifier(str(tmp_path / "hints"))
        notifier.tell(hint(1))
        with listener(tmp_path / "hints") as heard:
            notifier.tell(hint(2))
            assert queued(heard) == [2]
        notifier.close()

    asyncio.run(story())


def test_a_listener_that_comes_back_hears_again(tmp_path: Path) -> None:
    async def story() -> None:
        notifier = DatagramNotifier(str(tmp_path / "hints"))
        with listener(tmp_path / "hints") as heard:
            notifier.tell(hint(1))
            assert queued(heard) == [1]
        (tmp_path / "hints").unlink()
        with listener(tmp_path / "hints") as heard:
            notifier.tell(hint(2))
            notifier.tell(hint(3))
            assert 3 in queued(heard)
        notifier.close()

    asyncio.run(story())
