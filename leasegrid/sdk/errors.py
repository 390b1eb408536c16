"""What a program hears when its store is lost."""

from tasklet_runner.wire.errors import LeaseGridError, StoreError


class StoreLostError(StoreError):
    """The store took no checkpoint, however often it was tried: what was done since the last one is not kept."""

    code = "StoreLost"


class RestartedError(LeaseGridError):
    """The store was lost and the state is the first one again, or the last that the store still had: begin there."""

    code = "Restarted"
