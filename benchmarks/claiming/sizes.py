"""How large a run is: in full, and as small as can be, which only shows that every row runs."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Numbers of members, claims, rounds and seconds."""

    serial_pools: tuple[int, ...] = (10, 200, 2000)
    serial: int = 100
    pool: int = 200
    rounds: int = 20
    sustained_seconds: float = 60.0
    search_seconds: float = 8.0
    search_rates: tuple[float, ...] = (50.0, 60.0, 70.0, 80.0, 90.0, 100.0, 120.0, 140.0)
    burst: int = 50
    large_burst: int = 300
    expiry_seconds: float = 15.0
    bound: int = 2000
    queued: int = 8000
    killed: int = 500
    real: int = 50
    calm_seconds: float = 60.0
    idle_seconds: float = 10.0


SMALLEST = Sizes(
    serial_pools=(2, 4),
    serial=3,
    pool=4,
    rounds=1,
    sustained_seconds=1.0,
    search_seconds=1.0,
    search_rates=(2.0,),
    burst=2,
    large_burst=4,
    expiry_seconds=1.0,
    bound=4,
    queued=4,
    killed=4,
    real=1,
    calm_seconds=0.0,
    idle_seconds=0.5,
)
