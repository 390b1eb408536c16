"""Limits of the shell under which nothing could run, found before anything starts."""

import resource

from tasklet_runner.wire.errors import UnsupportedError

ADDRESS_SPACE_BYTES = 80 * 1024**3
"""The engine reserves 64.5 GiB of addresses in each worker, without using them; the rest is for all else there."""


def check_limits() -> None:
    """Raises UnsupportedError where the engine could not be made: it would abort its process, again and again."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < ADDRESS_SPACE_BYTES:
        raise UnsupportedError(
            f"the limit on address space is {limit // 1024:,} KiB (ulimit -v): too little for the WebAssembly engine",
            remedy="raise it (ulimit -v unlimited); to bound memory use a control group, or spec.tasklet.memory",
        )
