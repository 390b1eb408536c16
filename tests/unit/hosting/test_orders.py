"""What a coordinator makes of an order that it cannot use."""

from collections.abc import Callable

import msgspec
import pytest

from tasklet_runner.fabric.protocol import LeaseView
from tasklet_runner.hosting.orders import holder_of, plan_of, read_order
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.jobs import CoordinatorOrder, JobName

VIEW = LeaseView(uid="u", version=1, name="l", ttl_seconds=1, wanted=1, members=(), capabilities=(), expires_in=1.0)
ORDER = CoordinatorOrder(
    job=JobName(kind="Job", namespace="ns", name="j", uid="u"),
    plan=b"{}",
    term=1,
    key=bytes(32),
    lease=VIEW,
    store=VIEW,
    brokers=("http://127.0.0.1:1",),
)


WRITTEN = msgspec.msgpack.encode(ORDER)


def test_an_order_is_read_as_it_was_written() -> None:
    assert read_order(WRITTEN) == ORDER
    assert holder_of(ORDER).private_bytes_raw() == bytes(32)


@pytest.mark.unhappy("an order that is torn, of another version, or none")
@pytest.mark.parametrize(
    ("read", "words"),
    [
        pytest.param(lambda: read_order(b""), "order cannot be read", id="nothing"),
        pytest.param(lambda: read_order(b"\xc1"), "order cannot be read", id="no MessagePack"),
        pytest.param(lambda: read_order(WRITTEN[:-3]), "order cannot be read", id="half an order"),
        pytest.param(lambda: read_order(b"\x81\xa4term\x01"), "`job`", id="an order that lacks a field"),
        pytest.param(lambda: plan_of(ORDER), "plan in the coordinator's order", id="a plan that lacks all"),
        pytest.param(
            lambda: plan_of(msgspec.structs.replace(ORDER, plan=b"\xff")), "plan", id="a plan that is no text"
        ),
        pytest.param(
            lambda: holder_of(msgspec.structs.replace(ORDER, key=b"short")), "key in the", id="a key that is none"
        ),
    ],
)
def test_what_cannot_be_used_is_told_with_what_to_do(read: Callable[[], object], words: str) -> None:
    with pytest.raises(ProtocolError, match="one version") as caught:
        read()
    assert words in caught.value.cause
