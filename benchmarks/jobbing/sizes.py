"""How large a run is: in full, and as small as can be, which only shows that every part runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Numbers of members, tasks, chunks and rounds."""

    rounds: int = 10
    sleepers: int = 8
    sleeps: int = 225
    sleep_milliseconds: int = 1000
    chunks: tuple[int, ...] = (1_000, 10_000)
    chunk_rounds: int = 3
    steps: int = 14
    chains: int = 5
    together: tuple[int, ...] = (1, 20)
    full_rate: int = 100_000
    left: int = 1_000
    look_seconds: float = 10.0


SMALLEST = Sizes(
    rounds=1,
    sleepers=2,
    sleeps=4,
    sleep_milliseconds=50,
    chunks=(10,),
    chunk_rounds=1,
    steps=2,
    chains=1,
    together=(2,),
    full_rate=200,
    left=10,
    look_seconds=0.5,
)
