"""What the exit status of `leasegrid` says."""

from enum import IntEnum

from tasklet_runner.wire import errors


class ExitCode(IntEnum):
    """The meaning of each exit status; the words of `leasegrid --help` and of the documentation."""

    OK = 0
    CHUNKS_FAILED = 1
    USAGE = 2
    NO_CAPACITY = 3
    ENVIRONMENT = 4
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


_BY_REASON = {
    "Finished": ExitCode.OK,
    "Interrupted": ExitCode.INTERRUPTED,
    "NoCapacity": ExitCode.NO_CAPACITY,
    "Unsupported": ExitCode.NO_CAPACITY,
    "StoreUnavailable": ExitCode.ENVIRONMENT,
    "InvalidInput": ExitCode.ENVIRONMENT,
    "InvalidSpec": ExitCode.USAGE,
    "WaitingForCapacity": ExitCode.NO_CAPACITY,
    "CoordinatorFailed": ExitCode.ENVIRONMENT,
    errors.InputError.code: ExitCode.ENVIRONMENT,
    errors.StateDirectoryError.code: ExitCode.ENVIRONMENT,
    errors.StoreError.code: ExitCode.ENVIRONMENT,
}

_ENVIRONMENT = (
    errors.StoreError,
    errors.InputError,
    errors.ResultsError,
    errors.StateDirectoryError,
    errors.ClusterError,
)
_NO_CAPACITY = (errors.CapacityExceededError, errors.UnsupportedError, errors.LeaseEndedError)
_USAGE = (errors.NoSuchObjectError, errors.InvalidObjectError)


def code_of_report(complete: bool, reason: str, trouble: str = "") -> ExitCode:
    """The status of a run that ended with a report: what is not about capacity or surroundings is about chunks.

    `trouble`: why outputs could not be handed over.
    """
    if complete:
        return ExitCode.ENVIRONMENT if trouble else ExitCode.OK
    return _BY_REASON.get(reason, ExitCode.CHUNKS_FAILED)


def may_go_on(reason: str) -> bool:
    """True when the next run of the same job can go on where this one ended: what stopped it was not the job itself."""
    return _BY_REASON.get(reason) in {ExitCode.ENVIRONMENT, ExitCode.INTERRUPTED}


def code_of_error(error: errors.LeaseGridError | OSError) -> ExitCode:
    """The status of a command that ended with an error of ours, or of the operating system."""
    if isinstance(error, _NO_CAPACITY):
        return ExitCode.NO_CAPACITY
    if isinstance(error, _USAGE):
        return ExitCode.USAGE
    if isinstance(error, (*_ENVIRONMENT, OSError)):
        return ExitCode.ENVIRONMENT
    return ExitCode.CHUNKS_FAILED


def worst(codes: list[ExitCode]) -> ExitCode:
    """The status of a file with several jobs: the highest, as what stops a run outranks what fails chunks."""
    return max(codes, default=ExitCode.OK)
