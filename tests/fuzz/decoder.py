"""What a decoder is to the fuzzer: its seeds, and a way to give it bytes that judges what it does."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tasklet_runner.wire.errors import LeaseGridError

Value = TypeVar("Value")

Try = Callable[[bytes], bool]
"""True: the bytes were accepted, and mean the same when they are encoded again. False: they were refused, with a typed
error. Anything else is an exception.
"""


@dataclass(frozen=True)
class Decoder:
    """`seeds`: made by the real encoders; all are accepted if they are `sound`, and name only what is there. `ready`:
    sets up in an empty directory what takes the bytes; `tries`: how many the short form makes; `modules`: whose lines
    guide the long form.
    """

    name: str
    seeds: Callable[[], Sequence[bytes]]
    ready: Callable[[Path], AbstractContextManager[Try]]
    tries: int = 1500
    modules: tuple[str, ...] = ()
    sound: bool = True


def pure(judge: Try) -> Callable[[Path], AbstractContextManager[Try]]:
    """For a decoder that needs nothing around it."""

    @contextmanager
    def ready(_: Path) -> Iterator[Try]:
        yield judge

    return ready


def accepts(read: Callable[[bytes], Value], write: Callable[[Value], bytes]) -> Try:
    """Reads, and where that is no refusal writes and reads again: both must be the same to the last bit."""

    def judge(data: bytes) -> bool:
        try:
            value = read(data)
        except LeaseGridError:
            return False
        written = write(value)
        assert write(read(written)) == written, f"what is read is not what is written of it: {value!r:.200}"
        return True

    return judge


def either(*judges: Try) -> Try:
    """Accepted when one of them accepts; all are asked."""
    return lambda data: sum(judge(data) for judge in judges) > 0
