"""How a state becomes bytes and comes back.

The default is MessagePack into the type of the state that is given: what is read runs no code, and a checkpoint of
another shape is refused instead of half understood. pickle runs whatever stands in the file, so it is there for those
who say so: whoever can write to the store could then run programs in the process that restores.
"""

import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import msgspec

from tasklet_runner.durable.disk import Buffer
from tasklet_runner.wire.decoding import UNREADABLE
from tasklet_runner.wire.errors import CheckpointVersionError, UnsupportedError

State = TypeVar("State")


@dataclass(frozen=True)
class Codec(Generic[State]):
    """`encode` gives bytes, or a view of memory that is the state itself (`live`); `decode` takes them back.

    `name` stands in every checkpoint: one that was written with another codec is refused. `decode` is given the bytes
    and the first state, whose type or memory it may use.
    """

    name: str
    encode: Callable[[State], Buffer]
    decode: Callable[[memoryview, State], State]
    live: bool = False


def _pack(state: object) -> bytes:
    try:
        return msgspec.msgpack.encode(state)
    except (TypeError, OverflowError, NotImplementedError) as error:
        raise UnsupportedError(
            f"the state cannot be written as MessagePack: {error}",
            remedy="hold it as numbers, texts, bytes, lists, dictionaries, dataclasses; or give codec=BUFFER or PICKLE",
        ) from error


def _unpack(data: memoryview, first: object) -> object:
    try:
        return msgspec.msgpack.decode(data, type=type(first), strict=True)
    except (*UNREADABLE, TypeError) as error:
        raise CheckpointVersionError(
            f"the checkpoint is not a {type(first).__name__} of this program: {error}",
            remedy="raise state_version when the shape of the state changes; delete the checkpoint to begin anew",
        ) from error


def _view(state: object) -> memoryview:
    try:
        return memoryview(state).cast("B")  # type: ignore[arg-type]  # what has no buffer is the TypeError
    except TypeError as error:
        raise UnsupportedError(
            f"the state is no memory in one piece: {error}", remedy="give a bytearray, an array or a numpy array"
        ) from error


def _fill(data: memoryview, first: object) -> object:
    view = _view(first)
    if len(view) != len(data):
        raise CheckpointVersionError(
            f"the checkpoint has {len(data):,} bytes and the state {len(view):,}",
            remedy="give a first state of the same size and type; delete the checkpoint to begin anew",
        )
    view[:] = data
    return first


MESSAGEPACK: Codec[Any] = Codec("messagepack", _pack, _unpack)
"""Numbers, texts, bytes, None, lists, dictionaries, dataclasses, msgspec structs.

A dataclass comes back with its annotated types; within a plain dictionary tuples and sets come back as lists.
"""

BYTES: Codec[bytes] = Codec("bytes", lambda state: state, lambda data, _: bytes(data))
"""A state that is bytes already."""

BUFFER: Codec[Any] = Codec("buffer", _view, _fill, live=True)
"""A bytearray, array.array or contiguous numpy array: restored into the memory of the state that is given."""

PICKLE: Codec[Any] = Codec("pickle", pickle.dumps, lambda data, _: pickle.loads(data))  # noqa: S301  # chosen by name, see above
"""Any Python object, for stores that nobody else can write to."""
