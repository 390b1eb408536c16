"""What is said of jobs passes the wire whole."""

import msgspec
import pytest

from tasklet_runner.wire.job_store import Write, WriteObject
from tasklet_runner.wire.jobs import ChunkTally, CoordinatorOrder, Ending, JobName, JobReport
from tasklet_runner.wire.leases import LeaseView
from tasklet_runner.wire.queues import CommitRecord

VIEW = LeaseView(
    uid="u", name="n", version=1, members=(), capabilities=("c",), expires_in=1.0, ttl_seconds=30, wanted=1
)
ORDER = CoordinatorOrder(
    job=JobName(kind="Job", namespace="ns", name="j", uid="u"),
    plan=b"{}",
    term=3,
    key=bytes(range(32)),
    lease=VIEW,
    store=VIEW,
    brokers=("http://operator",),
)
REPORT = JobReport(
    uid="u",
    term=3,
    sequence=9,
    phase="Running",
    stages=(ChunkTally(name="main", state="Running", total=-1, succeeded=2),),
    timeline=((0, 1, 0, 0), (20, 2, 2, 0)),
    ending=Ending(complete=True, reason="Finished"),
)


def test_an_order_with_keys_in_bytes() -> None:
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(ORDER), type=CoordinatorOrder) == ORDER


def test_a_report_as_json_in_camel_case() -> None:
    text = msgspec.json.encode(REPORT)
    assert msgspec.json.decode(text, type=JobReport) == REPORT
    assert b'"waitingBecause"' in text


@pytest.mark.parametrize("field", ["uid", "term", "sequence", "phase", "stages"])
def test_a_report_without_what_every_report_has_is_refused(field: str) -> None:
    said = {name: value for name, value in msgspec.to_builtins(REPORT).items() if name != field}
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(said, JobReport)


def test_objects_and_commits_that_become_visible_together() -> None:
    record = CommitRecord(stage="main", index=0, attempt=1, chunk_id="0-x")
    write = Write((WriteObject("main/0/1/stdout", b"\x00"),), (record,))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(write), type=Write) == write
