"""What can go wrong between the operator and its cluster: few kinds, each with one right reaction."""

from tasklet_runner.wire.errors import LeaseGridError


class SettingsError(LeaseGridError):
    """A setting that cannot be used; all faults at once, each with its variable and flag."""

    code = "Settings"


class MissingDefinitionError(LeaseGridError):
    """A kind of ours that the cluster does not serve; the remedy is the command that installs it."""

    code = "MissingDefinition"


class ClusterError(LeaseGridError):
    """The base of everything that the API server says no to. `status` is HTTP's, 0 when there was no answer.

    `retry_after` is how long the server asked to wait, in seconds.
    """

    code = "Cluster"

    def __init__(self, cause: str, *, remedy: str = "", status: int = 0, retry_after: float = 0.0) -> None:
        super().__init__(cause, remedy=remedy)
        self.status = status
        self.retry_after = retry_after


class NotFoundError(ClusterError):
    """The object, its namespace or its kind is not there."""

    code = "NotFound"


class ConflictError(ClusterError):
    """The object is another one than expected by now (resourceVersion or uid). Read it again and decide anew."""

    code = "Conflict"


class AlreadyExistsError(ConflictError):
    """A create of a name that is taken. Of an object of ours it is success: names are deterministic."""

    code = "AlreadyExists"


class ForbiddenError(ClusterError):
    """The operator lacks the right, or an admission rule refuses the object. Trying again changes nothing."""

    code = "Forbidden"


class QuotaExceededError(ForbiddenError):
    """A ResourceQuota of the namespace leaves no room. Worth another try when something has ended."""

    code = "QuotaExceeded"


class NamespaceEndingError(ForbiddenError):
    """The namespace is being deleted: nothing can be created in it any more."""

    code = "NamespaceEnding"


class InvalidObjectError(ClusterError):
    """The server finds the object malformed; the cause names the fields."""

    code = "Invalid"


class GoneError(ClusterError):
    """The resourceVersion or page asked for has been forgotten: list from the start."""

    code = "Gone"


class ServerUnavailableError(ClusterError):
    """No answer, or one that says later: the request may be made again."""

    code = "Unavailable"


class NotLeadingError(ServerUnavailableError):
    """The write was not sent, as this replica leads no more."""

    code = "NotLeading"
