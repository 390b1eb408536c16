"""Which files of this machine a job needs, and how they are found again where it runs."""

import os
from pathlib import Path
from typing import Any

import pytest

from leasegrid.api.job import Job
from leasegrid.cli.job_objects import plan_of
from leasegrid.cli.uploading import Parcel, check_room, pack
from leasegrid.rules.planning import plan_job
from tasklet_runner.coordinator.inputs import Packing, files, find_files
from tasklet_runner.data.access import Access
from tasklet_runner.data.storages import Storages
from tasklet_runner.data.uploads import UploadedStorage
from tasklet_runner.plan.types import FilesInput, Plan
from tasklet_runner.wire.errors import InputError, StoreError


def body(**spec: object) -> dict[str, Any]:
    usual = {"tasklet": {"module": {"url": "https://example.org/a.wasm"}}, "input": {"count": 1}}
    return {
        "apiVersion": "leasegrid.dev/v1alpha1",
        "kind": "Job",
        "metadata": {"name": "j"},
        "spec": {**usual, **spec},
    }


def packed(base: Path, **spec: object) -> tuple[Parcel, Plan]:
    """What a Job in a file of that directory needs, and its plan where it runs."""
    given = body(**spec)
    there = plan_of(given)
    return pack(plan_job(Job.model_validate(given), base=str(base)), there), there


def written(root: Path, **contents: str) -> None:
    for name, content in contents.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def storage(parcel: Parcel) -> UploadedStorage:
    """The files as a coordinator finds them, read here."""

    def read(key: str, offset: int, length: int) -> bytes:
        return parcel.paths[key.rpartition("/")[2]].read_bytes()[offset : offset + length]

    return UploadedStorage(parcel.uploads, read)


def test_equal_files_are_put_once(tmp_path: Path) -> None:
    written(tmp_path, in__a="same", in__b="same", in__c="other")
    parcel, _ = packed(tmp_path, input={"files": {"globs": ["in/*"]}})
    assert (len(parcel.paths), parcel.size) == (2, 9)


@pytest.mark.parametrize(
    "globs",
    [
        pytest.param(["in/**"], id="all below a directory"),
        pytest.param(["in/*.txt", "in/deep/b.txt"], id="several globs"),
        pytest.param(["../base/in/a.txt"], id="a way that leads above the YAML"),
        pytest.param(["no/*", "in/*.txt"], id="one that matches nothing beside one that does"),
    ],
)
def test_globs_give_the_chunks_that_they_give_on_one_machine(tmp_path: Path, globs: list[str]) -> None:
    base = tmp_path / "base"
    written(base, **{"in__a.txt": "a", "in__deep__b.txt": "bb"})
    given = {"files": {"globs": globs}}
    parcel, there = packed(base, input=given)
    here = plan_job(Job.model_validate(body(input=given)), base=str(base)).stages[0].input
    remote = there.stages[0].input
    assert isinstance(here, FilesInput)
    assert isinstance(remote, FilesInput)
    uploaded = Storages(Access(files=storage(parcel)))

    found = [
        [(chunk.chunk_id, chunk.path, chunk.input) for chunk in files(find_files(one, storages), packing)]
        for one, storages in ((here, Storages()), (remote, uploaded))
        for packing in (Packing(tmp_path, "x", storages=storages),)
    ]
    assert found[0] == found[1]
    assert found[0]


def test_files_below_a_root_of_the_whole_machine_keep_their_places(tmp_path: Path) -> None:
    written(tmp_path, **{"in__a.txt": "a", "in__b.txt": "b"})
    given = {"files": {"root": "/", "globs": ["in/*.txt", f"{tmp_path}/in/a.*"]}}
    parcel, there = packed(tmp_path, input=given)
    remote = there.stages[0].input
    assert isinstance(remote, FilesInput)
    found = find_files(remote, Storages(Access(files=storage(parcel))))
    assert [one.path for one in found] == [f"{tmp_path}/in/{name}.txt".lstrip("/") for name in "ab"]


def test_mounts_and_wheels_and_lines_are_found_by_their_names(tmp_path: Path) -> None:
    written(tmp_path, lib__x="1", lib__y__z="22", **{"in.txt": "one\n", "job.py": "pass", "w-1-py3-none-any.whl": "w"})
    tasklet = {
        "python": {"source": {"path": "job.py"}, "wheels": ["w-1-py3-none-any.whl"]},
        "mounts": [{"mountPath": "/lib", "source": {"path": "lib"}}],
    }
    parcel, there = packed(tmp_path, tasklet=tasklet, input={"lines": {"path": "in.txt"}})
    tree = storage(parcel).below(there.stages[0].tasklet.mounts[0].source.uri)
    assert [one.location for one in tree] == ["uploaded:/lib/x", "uploaded:/lib/y/z"]
    assert storage(parcel).stat(there.stages[0].tasklet.source.uri).size == 4
    assert set(parcel.uploads.places) == {
        "uploaded:/job.py",
        "uploaded:/w-1-py3-none-any.whl",
        "uploaded:/lib",
        "uploaded:/in.txt",
    }


def test_what_is_named_by_uri_stays_where_it_is(tmp_path: Path) -> None:
    parcel, _ = packed(tmp_path)
    assert (parcel.uploads.places, parcel.size) == ({}, 0)


@pytest.mark.unhappy("a file that is missing, or may not be read; a glob without files")
@pytest.mark.parametrize(
    ("given", "says"),
    [
        pytest.param({"lines": {"path": "nowhere"}}, "nowhere cannot be found", id="missing"),
        pytest.param({"files": {"globs": ["no*"]}}, "no file matches", id="nothing matches"),
        pytest.param({"lines": {"path": "sub"}}, "is a directory", id="a directory"),
    ],
)
def test_what_is_not_there_is_named(tmp_path: Path, given: dict[str, object], says: str) -> None:
    (tmp_path / "sub").mkdir()
    with pytest.raises(InputError, match=says):
        packed(tmp_path, input=given)


@pytest.mark.unhappy("a store that is too small for the uploads")
def test_more_than_the_store_holds_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 2 * 1024**2)
    parcel, there = packed(tmp_path, input={"lines": {"path": "large"}}, output={"size": "1Mi"})
    with pytest.raises(StoreError, match="2 MiB, its store has 1 MiB"):
        check_room(parcel, there)
