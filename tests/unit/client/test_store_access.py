"""A way into a store is for whoever asked."""

import pytest

from tasklet_runner.client.store_access import AccessKey, seal_access
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.store_access import StoreAccess

ACCESS = StoreAccess(member="m", endpoint="http://m:1", get="g", put="p", expires_at=1.0)


def test_who_asked_opens_it() -> None:
    key = AccessKey()
    assert key.open(seal_access(ACCESS, key.public)) == ACCESS


@pytest.mark.unhappy("somebody else reads the object's status")
def test_nobody_else_does() -> None:
    with pytest.raises(ProtocolError):
        AccessKey().open(seal_access(ACCESS, AccessKey().public))


@pytest.mark.unhappy("an annotation that is no key")
@pytest.mark.parametrize("asked", ["", "x", "!!", "AAAA", "é" * 43])
def test_what_is_no_key_is_refused(asked: str) -> None:
    with pytest.raises(ProtocolError):
        seal_access(ACCESS, asked)
    with pytest.raises(ProtocolError):
        AccessKey().open(asked)
