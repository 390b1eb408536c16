"""What became of `leasegrid exec`, as a document and as lines. Pure."""

import base64
from collections.abc import Iterator
from typing import Any

import msgspec

from leasegrid.cli.summaries import printable
from tasklet_runner.wire.faults import Fault, FaultKind
from tasklet_runner.wire.programs import INLINE_OUTPUT_BYTES, Outcome

_FRAMES = 8
_OPTIONS = {
    "spec.tasklet.fuel": "--fuel",
    "spec.tasklet.memory": "--memory",
    "spec.tasklet.wallSeconds": "--wall-seconds",
}
"""What the remedies of members name in a Job, and what it is here."""


def told(outcome: Outcome) -> Outcome:
    """The outcome as this command tells it: remedies name its options, and output that stayed at the member is a
    fault, as no store stands behind this command.
    """
    if outcome.held_bytes:
        fault = Fault(
            kind=FaultKind.OUTPUT_TOO_LARGE,
            message=f"the tasklet succeeded, but its output of {outcome.held_bytes:,} bytes is more than the "
            f"{INLINE_OUTPUT_BYTES:,} that exec takes",
            remedy="write less, or run it as a Job, whose store takes any output",
            fuel_used=outcome.fuel_used,
            stderr=outcome.stderr.decode(errors="replace"),
        )
        return Outcome(fault=fault, fuel_used=outcome.fuel_used, wall_microseconds=outcome.wall_microseconds)
    if outcome.fault is None:
        return outcome
    return msgspec.structs.replace(outcome, fault=_with_options(outcome.fault))


def _with_options(fault: Fault) -> Fault:
    remedy = fault.remedy
    for field, option in _OPTIONS.items():
        remedy = remedy.replace(field, option)
    return msgspec.structs.replace(fault, remedy=remedy)


def document(outcome: Outcome, member: str) -> dict[str, Any]:
    """The outcome in one mapping; stdout as text where its bytes are UTF-8, else in base64: one of the two keys."""
    fault = outcome.fault
    return {
        "member": member,
        "succeeded": fault is None,
        "fault": fault.kind.value if fault is not None else "",
        "reason": fault.reason if fault is not None else "",
        "message": fault.message if fault is not None else "",
        "remedy": fault.remedy if fault is not None else "",
        "exitCode": fault.exit_code if fault is not None else 0,
        "backtrace": list(fault.backtrace) if fault is not None else [],
        "stderr": fault.stderr if fault is not None else outcome.stderr.decode(errors="replace"),
        "fuelUsed": max(outcome.fuel_used, fault.fuel_used if fault is not None else 0),
        "wallMicroseconds": outcome.wall_microseconds,
        **_stdout(outcome.stdout),
    }


def _stdout(data: bytes) -> dict[str, str]:
    try:
        return {"stdout": data.decode()}
    except UnicodeDecodeError:
        return {"stdoutBase64": base64.b64encode(data).decode("ascii")}


def fault_lines(fault: Fault) -> Iterator[str]:
    """What a person needs to mend the fault; its stderr is shown apart."""
    yield f"leasegrid: {fault.reason}: {fault.message}"
    for line in fault.backtrace[:_FRAMES]:
        yield f"  {printable(line)}"
    if fault.remedy:
        yield f"  what to do: {fault.remedy}"
