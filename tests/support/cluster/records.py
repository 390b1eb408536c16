"""What members of the rig went through, one JSON object a line: for benchmarks, and to show that none was bound twice.

`Record.event`: `started`, `ready`, `bound`, `extended` (the deadline of its lease was moved), `ended` (the lease's
part, with its reason), `killed`, `gone` (the process).
"""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

import msgspec

_encode = msgspec.json.Encoder().encode


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event. `monotonic` and `wall` in seconds; the former is the same clock in every process of this machine.

    `bound`: `lease`, `holder` (its key), `epoch`, `issued_at` of the bind, and the `seconds` from then until the
    deadline; so `extended`. `ended`: `reason`, and `late`, the seconds after the end that the claim named (negative:
    before it).
    """

    event: str
    member: str
    incarnation: str
    monotonic: float
    wall: float
    lease: str = ""
    holder: str = ""
    epoch: int = 0
    issued_at: float = 0.0
    seconds: float = 0.0
    reason: str = ""
    late: float = 0.0


class Recorder:
    """Writes one member's records; a line each, at once, so that a killed process has said what it did."""

    def __init__(self, file: TextIO, member: str, incarnation: str) -> None:
        self._file = file
        self._member = member
        self._incarnation = incarnation

    def __call__(self, event: str, **words: object) -> None:
        """Write what has happened now."""
        record = Record(
            event=event,
            member=self._member,
            incarnation=self._incarnation,
            monotonic=time.monotonic(),
            wall=time.time(),
            **words,  # type: ignore[arg-type]  # the callers' words are of the fields' types
        )
        self._file.write(_encode(record).decode() + "\n")


def read_records(path: Path) -> list[Record]:
    """All whole lines of a file; the last one may be half written."""
    whole, _, _ = path.read_bytes().rpartition(b"\n")
    return [msgspec.json.decode(line, type=Record) for line in whole.splitlines()]


def violations(records: Iterable[Record]) -> list[str]:
    """In words, each time that a member belonged to two leases at once, or that an epoch was given twice."""
    holders: dict[tuple[str, str], str] = {}
    epochs: dict[tuple[str, str], int] = {}
    found = []
    for record in records:
        process = (record.member, record.incarnation)
        if record.event == "bound":
            if holder := holders.get(process):
                found.append(f"{record.member} was bound to {record.lease} while {holder} held it")
            if record.epoch <= epochs.get(process, 0):
                found.append(f"{record.member} was bound in epoch {record.epoch} after {epochs[process]}")
            holders[process], epochs[process] = record.lease, record.epoch
        elif record.event in ("ended", "killed", "gone"):
            holders.pop(process, None)
    return found


def holders(records: Iterable[Record]) -> dict[str, str]:
    """The lease that each bound member belongs to at the end of the records."""
    found: dict[str, str] = {}
    for record in records:
        if record.event == "bound":
            found[record.member] = record.lease
        elif record.event in ("ended", "killed", "gone"):
            found.pop(record.member, None)
    return found
