"""When the operator's process looks for objects that nobody has any more."""

import gc

YOUNG_OBJECTS = 20_000
"""So many new objects before the collector looks for cycles: a claim makes hundreds, and hardly a cycle."""


def keep_what_is_there() -> None:
    """What was imported stays: a collection that looked through it each time would stop every claim for its while."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS)
