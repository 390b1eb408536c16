"""Lines of histories, made by hand."""

from tests.histories.history import Entry, Operation

O = Operation  # noqa: E741 - a table of histories has to be read in columns
FENCED, EXPIRED, NOT_FOUND = "Fenced", "LeaseExpired", "NotFound"


def entry(operation: Operation, invoked: float, completed: float, **words: object) -> Entry:
    """By lease a, of holder A, at epoch 1 of member m, unless it is said otherwise."""
    fields = {"who": "x", "member": "m", "incarnation": "i", "epoch": 1, "lease": "a", "holder": ""} | words
    return Entry(operation=operation, invoked=invoked, completed=completed, **fields)  # type: ignore[arg-type]  # the table's are of the fields' types


def bind(invoked: float = 0.0, seconds: float = 10.0, **words: object) -> Entry:
    """Answered a tenth of a second later; signed at 1000."""
    fields = {"holder": "A", "issued_at": 1000.0, "deadline": 1000.0 + seconds} | words
    return entry(O.BIND, invoked, invoked + 0.1, **fields)


def state(invoked: float, **words: object) -> Entry:
    return entry(O.STATE, invoked, invoked + 0.01, **words)


BOUND = (bind(), entry(O.CONFIRM, 0.2, 0.3))
SHORT = (bind(seconds=1.0), entry(O.CONFIRM, 0.2, 0.3))
PUT = entry(O.PUT, 1.0, 1.1, key="k", digest="d")
OTHER = bind(5.0, lease="b", holder="B", epoch=2)
FREE = state(5.0, lease="")
FIRST, SECOND = entry(O.OPEN, 1.0, 1.1, term=1), entry(O.OPEN, 2.0, 2.1, term=2)


def get(invoked: float, **words: object) -> Entry:
    return entry(O.GET, invoked, invoked + 0.1, **({"key": "k", "digest": "d"} | words))


def write(invoked: float, **words: object) -> Entry:
    return entry(O.WRITE, invoked, invoked + 0.1, **({"key": "w", "digest": "w1", "term": 1} | words))


def value(invoked: float, term: int, digest: str, **words: object) -> Entry:
    return entry(O.SET, invoked, invoked + 0.1, key="v", term=term, digest=digest, **words)


def read(invoked: float, digest: str, **words: object) -> Entry:
    return entry(O.READ, invoked, invoked + 0.1, key="v", digest=digest, **words)
