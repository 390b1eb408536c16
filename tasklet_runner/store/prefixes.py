"""Keys as text: what begins with a prefix, and to which attempt a key belongs. Pure."""

_LAST_CODE_POINT = 0x10FFFF
_BEFORE_SURROGATES, _AFTER_SURROGATES = 0xD7FF, 0xE000


def successor(prefix: str) -> str | None:
    """The least text that comes after every text with this prefix, by code points; None when there is none."""
    while prefix:
        prefix, last = prefix[:-1], ord(prefix[-1])
        if last < _LAST_CODE_POINT:
            # Surrogates are no characters, so none of them stands in a key.
            return prefix + chr(_AFTER_SURROGATES if last == _BEFORE_SURROGATES else last + 1)
    return None


def attempt_of(key: str) -> str:
    """`<stage>/<index>/<attempt>` of an object's key."""
    return "/".join(key.split("/", 3)[:3])
