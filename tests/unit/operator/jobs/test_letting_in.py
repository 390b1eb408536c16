"""Who asks in a job's object gets what the store's holder may grant, and no more."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from leasegrid_operator.jobs.letting_in import ACCESS_SECONDS, HeldStore, access_status
from leasegrid_operator.jobs.requests import JobKey
from tasklet_runner.client.store_access import AccessKey
from tasklet_runner.fabric.protocol import LeasedMember, LeaseView
from tasklet_runner.wire.errors import ProtocolError
from tasklet_runner.wire.signed import verify
from tasklet_runner.wire.statements import GetGrant, PutGrant
from tasklet_runner.wire.store_access import EVERYTHING
from tasklet_runner.wire.uploads import UPLOADS_PREFIX

KEY = JobKey.of(Ed25519PrivateKey.from_private_bytes(bytes(32)), "uid")
MEMBER = LeasedMember(
    name="m", endpoint="http://m:8080", incarnation="i", epoch=2, slots=0, tasklet_memory=0, pool="block"
)
STORE = LeaseView(
    uid="store-1",
    name="j-store",
    version=1,
    members=(MEMBER,),
    capabilities=("c",),
    expires_in=60.0,
    ttl_seconds=60,
    wanted=1,
)


def held(term: int) -> HeldStore:
    return HeldStore(STORE, KEY, 1000, term)


def test_files_may_be_put_until_a_coordinator_is_there() -> None:
    key = AccessKey()
    said = access_status(key.public, held(0), 100.0)
    access = key.open(said["sealed"])
    put = verify(access.put, PutGrant, KEY.private.public_key())
    assert (said["key"], access.member, access.endpoint) == (key.public, "m", "http://m:8080")
    assert (put.store, put.term, put.key_prefix, put.max_bytes) == ("store-1", 2, UPLOADS_PREFIX, 1000)
    assert put.expires_at == 100.0 + ACCESS_SECONDS
    assert key.open(access_status(key.public, held(1), 100.0)["sealed"]).put == ""


@pytest.mark.parametrize(("term", "granted"), [(0, 2), (1, 2), (5, 5)])
def test_everything_may_be_read_at_the_stores_term(term: int, granted: int) -> None:
    key = AccessKey()
    get = verify(
        key.open(access_status(key.public, held(term), 100.0)["sealed"]).get, GetGrant, KEY.private.public_key()
    )
    assert (get.store, get.term, get.key_prefix) == ("store-1", granted, EVERYTHING)


@pytest.mark.unhappy("an annotation that is no key")
def test_what_is_no_key_gets_nothing() -> None:
    with pytest.raises(ProtocolError):
        access_status("no key", held(0), 100.0)
