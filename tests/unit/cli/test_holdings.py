"""What is held, as a table; and after which ends a run may go on."""

import pytest

from leasegrid.cli.exits import may_go_on
from leasegrid.cli.holdings import Holding, table
from leasegrid.local.books import Resource
from leasegrid.local.state import KeptLease


def kept(name: str, expires: float | None, *, process: int = 0, namespace: str = "default") -> KeptLease:
    return KeptLease(
        uid="u", resource=Resource.BLOCK, namespace=namespace, name=name, holder="", purpose="outputs", members=(),
        volume_bytes=2048, acquired=0.0, expires=expires, process=process,
    )  # fmt: skip


def test_the_table_says_what_is_held_until_when_and_by_whom() -> None:
    holdings = [
        Holding(kept("fractal", 4600.0), 3, "3 chunks, 2 KiB"),
        Holding(kept("slow", None, process=17, namespace="lab"), 1, "1 chunk, 2 KiB"),
    ]

    assert table(holdings, now=1000.0) == [
        "LEASE               RESOURCE  HOLDS            UNTIL                 USED BY",
        "fractal (outputs)   Block     3 chunks, 2 KiB  in 1 h                -",
        "lab/slow (outputs)  Block     1 chunk, 2 KiB   its job is run again  process 17",
    ]


@pytest.mark.parametrize(
    ("reason", "goes_on"),
    [
        pytest.param("Interrupted", True, id="after Ctrl-C"),
        pytest.param("StoreUnavailable", True, id="after a full disk"),
        pytest.param("StateDirectory", True, id="after a state directory in use"),
        pytest.param("ChunksFailed", False, id="failed chunks stay failed"),
        pytest.param("Finished", False, id="what is finished starts anew"),
    ],
)
def test_may_go_on(reason: str, goes_on: bool) -> None:
    assert may_go_on(reason) is goes_on
