"""The earliest start: a runtime directory and a zygote, before anything heavy is imported and without an event loop."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from leasegrid.local.runtime import RuntimeDirectory, create_runtime_directory
from leasegrid.local.zygote import Zygote


@dataclass(frozen=True)
class Launched:
    """A runtime directory with its zygote, to be handed to a fabric, which ends it."""

    runtime: RuntimeDirectory
    zygote: Zygote


def launch(environment: Mapping[str, str] = os.environ) -> Launched:
    """Start the zygote, so that it imports while its caller does. Raises StateDirectoryError, UnreachableError."""
    runtime = create_runtime_directory(environment)
    try:
        return Launched(runtime, Zygote(runtime))
    except BaseException:
        runtime.remove()
        raise
