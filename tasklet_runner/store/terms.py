"""Terms: who may write to a store. The highest is durable before anybody writes under it."""

from tasklet_runner.store.failures import StoreName
from tasklet_runner.store.index import Index
from tasklet_runner.wire.errors import StoreFencedError


def take_term(name: StoreName, index: Index, term: int, owner: str | None = None) -> None:
    """The term of who serves the store, and whose it is. Raises StoreFencedError for a lower one."""
    if term < index.term:
        raise fenced(name, index.term, term)
    if owner is not None:
        index.take(owner, term)
    elif term > index.term:
        index.raise_term(term)


def take_writer(name: StoreName, index: Index, term: int) -> None:
    """The term of the coordinator that writes from now on. Raises StoreFencedError for a lower one."""
    if term < index.writer:
        raise fenced(name, index.writer, term)
    if term > index.writer:
        index.raise_writer(term)


def fenced(name: StoreName, term: int, lower: int) -> StoreFencedError:
    """The refusal of a lower term."""
    return StoreFencedError(
        f"{name} has been opened under term {term}, which is later than {lower}",
        remedy="a newer coordinator runs this job; end this one",
    )
