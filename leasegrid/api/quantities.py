"""Kubernetes quantities (`2Gi`, `50m`, `"2"`, `1.5e3`) as whole bytes and millicores, without floats.

Grammar: apimachinery's `resource.Quantity`: a decimal number, then a binary suffix (Ki … Ei), a decimal one (n u m k M
G T P E), or an exponent (`e3`). Parts of a byte or of a millicore are rounded up, as Kubernetes does.
"""

import math
import re
from fractions import Fraction

KIBI = 1024
MEBI = 1024**2
GIBI = 1024**3

QUANTITY_PATTERN = r"\+?([0-9]+\.?[0-9]*|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]{1,2})?"
"""The same without names and signs below zero, for schemas."""

_FORM = re.compile(r"(?P<sign>[+-]?)(?P<number>\d+\.?\d*|\.\d+)(?P<suffix>[KMGTPE]i|[numkMGTPE]|[eE][+-]?\d{1,2})?")
_BINARY = {suffix: Fraction(1024**power) for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
_DECIMAL = {
    **{suffix: Fraction(1000**power) for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), start=1)},
    **{suffix: Fraction(1, 1000**power) for power, suffix in enumerate(("m", "u", "n"), start=1)},
}
_MAX_DIGITS = 30


def parse_quantity(value: object) -> Fraction:
    """The exact value of a quantity, given as text or as a whole number. Raises ValueError that says what would be
    right.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        # pydantic turns a ValueError into a fault of the field, and lets a TypeError through.
        raise ValueError(  # noqa: TRY004 - see above
            f'{value!r} is no quantity: write a whole number, or text in quotes such as "512Mi" or "500m"'
        )
    text = str(value)
    match = _FORM.fullmatch(text)
    if match is None or len(text) > _MAX_DIGITS:
        raise ValueError(
            f"{text!r} is no quantity: write a number with a suffix of Kubernetes, such as 512Mi, 2Gi, 500m or 2"
        )
    if match["sign"] == "-":
        raise ValueError(f"{text!r} is negative: a quantity is zero or more")
    return Fraction(match["number"]) * _scale(match["suffix"] or "")


def _scale(suffix: str) -> Fraction:
    if suffix in _BINARY:
        return _BINARY[suffix]
    if suffix in _DECIMAL:
        return _DECIMAL[suffix]
    return Fraction(10) ** int(suffix[1:]) if suffix else Fraction(1)


def parse_bytes(value: object) -> int:
    """A quantity as bytes, parts of one rounded up. Raises ValueError."""
    return math.ceil(parse_quantity(value))


def parse_millicores(value: object) -> int:
    """A quantity of CPU as thousandths of a core, parts of one rounded up. Raises ValueError."""
    return math.ceil(parse_quantity(value) * 1000)


def format_bytes(count: int) -> str:
    """Bytes in the largest binary suffix that is exact: `2Gi`, `1536Mi`, `1000`."""
    for suffix, scale in reversed(_BINARY.items()):
        if count and count % scale == 0:
            return f"{count // scale}{suffix}"
    return str(count)


def format_millicores(count: int) -> str:
    """Thousandths of a core as Kubernetes writes them: `2`, `50m`."""
    return f"{count}m" if count % 1000 else str(count // 1000)
