"""Files of this machine that are links: read as what they lead to, by whatever way they were found."""

from pathlib import Path

import pytest

from tasklet_runner.data.found import ChangedError
from tasklet_runner.data.storages import Storages


def test_a_link_is_the_file_that_it_leads_to_and_one_to_a_directory_is_none(tmp_path: Path) -> None:
    place, elsewhere = tmp_path / "in", tmp_path / "elsewhere"
    place.mkdir()
    elsewhere.mkdir()
    (elsewhere / "file").write_bytes(b"text")
    (place / "link.txt").symlink_to(elsewhere / "file")
    (place / "folder.txt").symlink_to(elsewhere)
    storage = Storages().of(str(place))

    (found,) = storage.glob(f"{place}/*.txt")

    assert (found.location, found.size) == (f"{place}/link.txt", 4)
    assert found == storage.stat(f"{place}/link.txt")
    assert found in storage.below(str(place))
    with storage.open(found) as file:
        assert file.read() == b"text"


@pytest.mark.unhappy("a link that leads nowhere, or elsewhere since it was listed")
def test_a_link_that_leads_elsewhere_by_now_has_changed_and_one_that_leads_nowhere_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"one")
    (tmp_path / "other").write_bytes(b"two")
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "one")
    storage = Storages().of(str(tmp_path))
    (found,) = storage.glob(f"{tmp_path}/*.txt")

    link.unlink()
    link.symlink_to(tmp_path / "other")
    with pytest.raises(ChangedError), storage.open(found):
        pass
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    (lost,) = storage.glob(f"{tmp_path}/*.txt")
    with pytest.raises(FileNotFoundError), storage.open(lost):
        pass
