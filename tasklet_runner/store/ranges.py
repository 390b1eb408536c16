"""Which bytes of an object a `Range` header asks for (RFC 9110, section 14). Pure."""

import re

from tasklet_runner.wire.errors import RefusedError

_ONE_RANGE = re.compile(r" *bytes *= *(\d{0,18}) *- *(\d{0,18}) *", re.IGNORECASE)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """`(start, end)`, the end excluded; None: the whole object, as for a header that is malformed or asks for several.

    Raises RefusedError (RangeNotSatisfiable) when the object has no such byte.
    """
    found = _ONE_RANGE.fullmatch(header)
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        start, end = max(0, size - int(found[2])), size
    else:
        start = int(found[1])
        end = size if not found[2] else min(size, int(found[2]) + 1)
        if found[2] and int(found[2]) < start:
            return None
    if start >= end:
        raise RefusedError(
            "RangeNotSatisfiable", f"{header.strip()!r} of an object of {size:,} bytes", remedy="ask for bytes it has"
        )
    return start, end
