"""What came with the order of a run, as its coordinator reads it."""

import hashlib
from pathlib import Path

import pytest

from tasklet_runner.coordinator.sources import fetch, verify
from tasklet_runner.data.access import Access
from tasklet_runner.data.found import ChangedError, Found
from tasklet_runner.data.given import GivenStorage
from tasklet_runner.data.storages import Storages
from tasklet_runner.plan.types import Source
from tasklet_runner.wire.errors import InputError

URI = "configmap://code/tile.wasm"
STORAGES = Storages(Access(objects={URI: b"module"}))
STORAGE = GivenStorage({URI: b"module"})


def test_a_source_is_what_was_given(tmp_path: Path) -> None:
    assert fetch(Source(uri=URI), tmp_path / "got", "the module", STORAGES).path.read_bytes() == b"module"
    assert verify(Source(uri=URI), "the module", STORAGES) == hashlib.sha256(b"module").hexdigest()
    assert STORAGE.glob(URI) == STORAGE.below(URI) == [STORAGE.stat(URI)]


@pytest.mark.unhappy("a source that was not given, or with another hash")
def test_what_was_not_given_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be found"):
        fetch(Source(uri="configmap://code/other"), tmp_path / "got", "the module", STORAGES)
    with pytest.raises(InputError, match="has the SHA-256"):
        fetch(Source(uri=URI, digest="0" * 64), tmp_path / "got", "the module", STORAGES)
    assert STORAGE.glob("configmap://code/*") == []


def test_nothing_is_written_there_and_another_state_is_another_object() -> None:
    with pytest.raises(PermissionError):
        STORAGE.write(URI, [b""])
    with pytest.raises(PermissionError):
        STORAGE.remove(URI)
    with pytest.raises(ChangedError), STORAGE.open(Found(URI, mark="0")):
        pass
