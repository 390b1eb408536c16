"""Field types with a grammar of their own: environment names, absolute paths, digests, relative paths and globs."""

import posixpath
import re
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

_ENVIRONMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
RESERVED_PATHS = ("/in", "/out", "/durable")


def _checked_environment_name(text: str) -> str:
    if not _ENVIRONMENT.fullmatch(text):
        raise ValueError(f"{text!r} is no name of a variable: letters, digits and '_', and no digit first")
    return text


def _checked_absolute_path(text: str) -> str:
    if not text.startswith("/") or posixpath.normpath(text) != text or text.startswith("//") or text == "/":
        raise ValueError(f"{text!r} is no absolute path: write it as /name/name, without . or .. or a slash at the end")
    return text


def _checked_digest(text: str) -> str:
    if not _DIGEST.fullmatch(text):
        raise ValueError(f"{text!r} is no SHA-256: write 64 hexadecimal digits in lower case")
    return text


def text_like(pattern: str, max_length: int) -> WithJsonSchema:
    """The schema of a text with a grammar: a regular expression for the whole of it, and its longest length."""
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$", "maxLength": max_length})


EnvironmentName = Annotated[str, AfterValidator(_checked_environment_name), text_like(_ENVIRONMENT.pattern, 253)]
AbsolutePath = Annotated[str, AfterValidator(_checked_absolute_path), text_like("(/[^/]+)+", 4096)]
Digest = Annotated[str, AfterValidator(_checked_digest), text_like(_DIGEST.pattern, 64)]
