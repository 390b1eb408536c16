"""Inputs from and outputs to a real S3-compatible server, with `leasegrid run` as a user has it."""

import json
import signal
from pathlib import Path

import pytest

from tests.process.jobs import Finished, run_job, write_job
from tests.support import wat
from tests.support.running import Place, leasegrid
from tests.support.s3 import BUCKET, Gate, S3Server, User

ECHO = {"echo.wasm": wat.echo()}
ECHOED = "  tasklet: {module: {path: echo.wasm}}\n"


NOBODY = {"AWS_METADATA_ENDPOINT": "http://127.0.0.1:9"}
"""No keys, and no machine of Amazon's that would hand out some."""


def place_of(tmp_path: Path, server: S3Server, user: User | None = None) -> Place:
    return Place(tmp_path, server.environment(user))


def outputs(finished: Finished, directory: Path) -> dict[str, bytes]:
    assert finished.ended.code == 0, str(finished.ended)
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_objects_that_a_glob_names_are_inputs_and_outputs_are_copied_with_a_receipt(
    tmp_path: Path, s3: S3Server
) -> None:
    contents = {"a.txt": b"first", "deep/b.txt": b"second", "large.txt": b"0123456789abcdef" * 40_000}
    for name, data in contents.items():
        s3.put(f"whole/in/{name}", data)
    s3.put("whole/in/other.md", b"not this one")
    spec = (
        f"{ECHOED}  input: {{files: {{globs: ['s3://{BUCKET}/whole/in/**/*.txt']}}}}\n"
        f"  output: {{layout: ByPath, copyTo: {{uri: 's3://{BUCKET}/whole/out/'}}}}\n"
    )
    finished = run_job(place_of(tmp_path, s3), spec, ECHO)

    assert finished.ended.code == 0, str(finished.ended)
    copied = s3.below("whole/out")
    receipt = json.loads(copied.pop("_SUCCESS"))
    assert copied == {f"{name}.stdout": data for name, data in contents.items()}
    assert (receipt["files"], receipt["bytes"]) == (3, sum(len(data) for data in contents.values()))
    assert {one["path"]: one["bytes"] for one in receipt["objects"]} == {
        path: len(data) for path, data in copied.items()
    }
    results = finished.job["results"]
    assert (results["copiedTo"], results["copiedFiles"]) == (f"s3://{BUCKET}/whole/out", 3)
    assert results["keptIn"] is None, "what was copied need not be kept"


@pytest.mark.usefixtures("shipped_python")
def test_lines_shards_mounts_and_modules_come_from_a_bucket(tmp_path: Path, s3: S3Server) -> None:
    s3.put("parts/lines.txt", b"".join(b"line %d\n" % number for number in range(10)))
    s3.put("parts/echo.wasm", wat.echo())
    s3.put("parts/mount/sub/word.txt", b"word")
    lines = (
        f"  tasklet: {{module: {{url: 's3://{BUCKET}/parts/echo.wasm'}}}}\n"
        f"  input: {{lines: {{uri: 's3://{BUCKET}/parts/lines.txt', perChunk: 4}}}}\n"
    )
    found = outputs(
        run_job(place_of(tmp_path / "lines", s3), lines, {}, "--results", str(tmp_path / "r")), tmp_path / "r"
    )
    assert [found[f"{number}/stdout"].count(b"\n") for number in range(3)] == [4, 4, 2]

    mounted = (
        "  tasklet:\n    python: {source: {inline: \"print(open('/m/sub/word.txt').read())\"}}\n"
        f"    mounts: [{{mountPath: /m, source: {{path: 's3://{BUCKET}/parts/mount'}}}}]\n"
        f"  input: {{shards: 1, files: {{globs: ['s3://{BUCKET}/parts/*.txt']}}}}\n"
    )
    found = outputs(
        run_job(place_of(tmp_path / "mount", s3), mounted, {}, "--results", str(tmp_path / "s")), tmp_path / "s"
    )
    assert found == {"0/stdout": b"word\n"}


@pytest.mark.unhappy("a URI without access, without credentials, without an object, without a server: named at once")
@pytest.mark.parametrize(
    ("globs", "extra", "says"),
    [
        (f"s3://{BUCKET}/nothing/**", {}, f"no file matches s3://{BUCKET}/nothing/**"),
        ("s3://nobucket/**", {}, "cannot be found (NoSuchBucket"),
        (f"s3://{BUCKET}/**", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "may not be read: SignatureDoesNotMatch"),
        (f"s3://{BUCKET}/**", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "cannot be read: "),
        (f"s3://{BUCKET}/**", NOBODY, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    ],
    ids=["no object", "no bucket", "a wrong secret", "no server", "no credentials"],
)
def test_objects_that_cannot_be_had_are_told_before_anything_starts(
    tmp_path: Path, s3: S3Server, globs: str, extra: dict[str, str], says: str
) -> None:
    place = Place(tmp_path, extra if extra is NOBODY else {**s3.environment(), **extra})
    finished = run_job(place, f"{ECHOED}  input: {{files: {{globs: ['{globs}']}}}}\n", ECHO)

    assert finished.ended.code == 4, str(finished.ended)
    assert (finished.job["reason"], finished.job["receipt"]["members"]) == ("InvalidInput", 0)
    assert says in finished.job["message"]


@pytest.mark.unhappy("a copy to a bucket without credentials or without a server: told before anything starts")
@pytest.mark.parametrize(
    ("environment", "says"),
    [
        (NOBODY, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_SKIP_SIGNATURE": "true"}, "cannot be read: "),
    ],
    ids=["no credentials", "no server"],
)
def test_a_copy_that_cannot_be_begun_is_told_before_anything_starts(
    tmp_path: Path, environment: dict[str, str], says: str
) -> None:
    spec = f"{ECHOED}  input: {{count: 3}}\n  output: {{copyTo: {{uri: 's3://{BUCKET}/x'}}}}\n"
    finished = run_job(Place(tmp_path, environment), spec, ECHO)

    assert finished.ended.code == 4, str(finished.ended)
    assert (finished.job["reason"], finished.job["receipt"]["members"]) == ("InvalidInput", 0)
    assert f"spec.output.copyTo s3://{BUCKET}/x" in finished.job["message"]
    assert says in finished.job["message"]


@pytest.mark.unhappy("outputs that may not be copied: the store is kept, and the next run copies without a chunk run")
def test_a_copy_that_is_refused_keeps_the_store_and_the_next_run_has_only_to_copy(tmp_path: Path, s3: S3Server) -> None:
    spec = f"{ECHOED}  input: {{count: 3}}\n  output: {{copyTo: {{uri: 's3://{BUCKET}/refused'}}}}\n"
    refused = run_job(place_of(tmp_path, s3, s3.reader), spec, ECHO)
    assert refused.ended.code == 4, str(refused.ended)
    assert refused.job["complete"]
    assert f"the copy to s3://{BUCKET}/refused may not be written: " in refused.job["results"]["trouble"]
    assert refused.job["results"]["keptIn"] is not None
    assert s3.below("refused") == {}

    allowed = run_job(place_of(tmp_path, s3), spec, ECHO)
    assert allowed.ended.code == 0, str(allowed.ended)
    assert allowed.job["receipt"]["tasklets"] == 0, "no chunk is run again"
    assert sorted(s3.below("refused")) == ["0/stdout", "1/stdout", "2/stdout", "_SUCCESS"]


@pytest.mark.unhappy("SIGKILL in the middle of a copy: no sign of a whole one, and the next run makes it whole")
def test_a_run_that_is_killed_in_mid_copy_copies_all_when_it_runs_again(tmp_path: Path, s3: S3Server) -> None:
    items = ", ".join(f"{{value: item {number}}}" for number in range(40))
    spec = f"{ECHOED}  input: {{items: [{items}]}}\n  output: {{copyTo: {{uri: 's3://{BUCKET}/killed'}}}}\n"
    gate = Gate(s3.endpoint, allowed=5)
    try:
        behind = Place(tmp_path, s3.environment(endpoint=gate.endpoint))
        with leasegrid(behind, "run", str(write_job(behind, spec, ECHO))) as running:
            assert gate.held.wait(60), running.printed()
            running.send(signal.SIGKILL)
            running.wait()
    finally:
        gate.close()
    assert "_SUCCESS" not in s3.below("killed")

    again = run_job(place_of(tmp_path, s3), spec, ECHO)
    assert again.ended.code == 0, str(again.ended)
    assert again.job["receipt"]["tasklets"] == 0, "no chunk is run again"
    copied = s3.below("killed")
    assert json.loads(copied.pop("_SUCCESS"))["files"] == 40
    assert copied == {f"{number}/stdout": b"item %d" % number for number in range(40)}
