"""How numbers are said to people: counts, sizes, times, rates."""

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def count(number: int, noun: str = "") -> str:
    """`1,024 chunks`, `1 chunk`: with a separator per thousand, the noun in the singular for one."""
    shown = f"{number:,}"
    if not noun:
        return shown
    return f"{shown} {noun}" if number == 1 else f"{shown} {noun}s"


def size(byte_count: int) -> str:
    """Bytes in binary units with at most one decimal: `0 B`, `1.5 KiB`, `2 GiB`."""
    value, unit = float(byte_count), _UNITS[0]
    for larger in _UNITS[1:]:
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def duration(seconds: float) -> str:
    """A span of time as precise as a person wants it: `85 ms`, `2.4 s`, `1 min 5 s`, `3 h 20 min`."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"
    whole = round(seconds)
    if whole < 3600:
        return _two(whole // 60, "min", whole % 60, "s")
    minutes = round(whole / 60)
    if minutes < 2 * 24 * 60:
        return _two(minutes // 60, "h", minutes % 60, "min")
    hours = round(minutes / 60)
    return _two(hours // 24, "d", hours % 24, "h")


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large} {large_unit} {small} {small_unit}" if small else f"{large} {large_unit}"


def rate(per_second: float) -> str:
    """Chunks per second: `512/s`, `2.5/s`; below one per second as time per chunk: `4 s each`."""
    if per_second <= 0:
        return "0/s"
    if per_second < 1:
        return f"{duration(1 / per_second)} each"
    if per_second < 10:
        return f"{per_second:.1f}".removesuffix(".0") + "/s"
    return f"{per_second:,.0f}/s"


def listed(words: list[str], limit: int = 5) -> str:
    """`a, b and 3 more`: the first few of a list and how many follow."""
    if len(words) <= limit:
        return ", ".join(words)
    return f"{', '.join(words[:limit])} and {len(words) - limit:,} more"
