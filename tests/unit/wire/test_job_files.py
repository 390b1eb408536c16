"""What a submitter and a coordinator say to one another of files, by way of the store."""

import msgspec

from tasklet_runner.wire.store_access import EVERYTHING, StoreAccess
from tasklet_runner.wire.uploads import UPLOADS_PREFIX, UploadedFile, Uploads, file_key


def test_files_stand_below_a_prefix_that_no_stage_has() -> None:
    assert file_key("ab") == f"{UPLOADS_PREFIX}/ab"
    # Names of tasks are labels of DNS.
    assert not UPLOADS_PREFIX[0].isalnum()
    assert not EVERYTHING.isalnum()


def test_the_list_is_plain_json() -> None:
    listed = Uploads({"uploaded:/in/*": (UploadedFile("uploaded:/in/a", 3, "ab"),)})
    encoded = msgspec.json.encode(listed)
    assert encoded == b'{"places":{"uploaded:/in/*":[["uploaded:/in/a",3,"ab"]]}}'
    assert msgspec.json.decode(encoded, type=Uploads) == listed


def test_a_reader_may_put_nothing_unless_told_so() -> None:
    access = StoreAccess(member="m", endpoint="http://m:1", get="g", expires_at=1.0)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(access), type=StoreAccess).put == ""
