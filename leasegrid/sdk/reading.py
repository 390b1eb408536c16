"""The newest state of a key, for those who do not write it: an aggregate over the checkpoints of many workers."""

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from leasegrid.sdk import envelopes
from leasegrid.sdk.codecs import MESSAGEPACK, Codec
from leasegrid.sdk.targets import Store, target_of

State = TypeVar("State")


@dataclass(frozen=True)
class Restored(Generic[State]):
    """A state as its newest checkpoint has it, after so many steps."""

    state: State
    step: int
    generation: int


def read_state(
    store: Store, key: str, first: State, *, codec: Codec[Any] = MESSAGEPACK, state_version: int = 1
) -> Restored[State] | None:
    """The newest state of `key`; None before its first checkpoint. Its writer goes on meanwhile: nobody is fenced.

    `first`: a state of the same type, as `Durable` is given it. Raises what its entry does, and UnreachableError.
    """
    target = target_of(store, key)
    try:
        kept = target.read()
    finally:
        target.close()
    if kept is None:
        return None
    envelope, data = envelopes.decode(kept.payload, codec.name, state_version)
    return Restored(codec.decode(data, first), envelope.step, kept.generation)
