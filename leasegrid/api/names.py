"""Field types with a grammar of their own: environment names, absolute paths, digests, relative paths and globs."""

import posixpath
import re
from typing import Annotated

from pydantic import AfterValidator

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


EnvironmentName = Annotated[str, AfterValidator(_checked_environment_name)]
AbsolutePath = Annotated[str, AfterValidator(_checked_absolute_path)]
Digest = Annotated[str, AfterValidator(_checked_digest)]
