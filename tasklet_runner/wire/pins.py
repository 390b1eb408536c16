"""A member's incarnation as the name of its key, and endpoints that carry it.

A member that serves TLS makes a key and a certificate of its own, and its incarnation is the first 128 bits of the
SHA-256 of that certificate. So every statement that names an incarnation names the key that its member must have, and
`https://10.0.0.7:8080#<incarnation>` says both where a member is and how it is known: who connects there speaks to the
owner of that key or to nobody. The part behind `#` (RFC 3986, 3.5) is never sent.
"""

import hashlib
import re

INCARNATION_CHARACTERS = 32
UNPROVEN = "unproven"
"""In the place of an incarnation: not known yet. The fabric alone uses it, before a member's first word."""

_PIN = re.compile(rf"[0-9a-f]{{{INCARNATION_CHARACTERS}}}|{UNPROVEN}")


def incarnation_of(certificate: bytes) -> str:
    """The incarnation of the member that has this certificate (DER)."""
    return hashlib.sha256(certificate).hexdigest()[:INCARNATION_CHARACTERS]


def split_pin(endpoint: str) -> tuple[str, str]:
    """The endpoint without its pin, and the pin: an incarnation, `UNPROVEN`, or empty when it has none."""
    address, mark, pin = endpoint.rpartition("#")
    return (address, pin) if mark and _PIN.fullmatch(pin) else (endpoint, "")


def pinned(endpoint: str, pin: str) -> str:
    """The endpoint with this pin in place of the one that it has; as it is where there is none to give."""
    return f"{split_pin(endpoint)[0]}#{pin}" if pin else endpoint
