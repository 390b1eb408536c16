"""What the records of stand-ins show: who was bound to whom, and whether ever to two at once."""

from pathlib import Path

import pytest

from tests.support.cluster.records import Record, Recorder, holders, read_records, violations


def record(event: str, lease: str = "", epoch: int = 0, member: str = "a", incarnation: str = "i") -> Record:
    return Record(
        event=event, member=member, incarnation=incarnation, lease=lease, epoch=epoch, monotonic=0.0, wall=0.0
    )


@pytest.mark.parametrize(
    ("records", "said"),
    [
        pytest.param([record("bound", "x", 1), record("ended", "x", 1), record("bound", "y", 2)], [], id="in turn"),
        pytest.param(
            [record("bound", "x", 1), record("bound", "y", 2)],
            ["a was bound to y while x held it"],
            id="to two leases at once",
        ),
        pytest.param(
            [record("bound", "x", 1), record("ended", "x", 1), record("bound", "y", 1)],
            ["a was bound in epoch 1 after 1"],
            id="twice in an epoch",
        ),
        pytest.param(
            [record("bound", "x", 1), record("killed", "x"), record("bound", "y", 1, incarnation="j")],
            [],
            id="as another process",
        ),
        pytest.param([record("bound", "x", 1), record("bound", "x", 1, member="b")], [], id="beside another member"),
    ],
)
def test_a_member_is_bound(records: list[Record], said: list[str]) -> None:
    assert violations(records) == said


def test_holders_are_those_whose_lease_has_not_ended() -> None:
    records = [record("bound", "x", 1), record("bound", "y", 1, member="b"), record("ended", "x", 1)]

    assert holders(records) == {"b": "y"}


def test_what_is_written_is_read_but_for_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "records.jsonl"
    with path.open("w", buffering=1) as file:
        Recorder(file, "a", "i")("bound", lease="x", epoch=1, seconds=2.5)
        file.write('{"event": "en')

    (read,) = read_records(path)
    assert (read.event, read.member, read.lease, read.epoch, read.seconds) == ("bound", "a", "x", 1, 2.5)
