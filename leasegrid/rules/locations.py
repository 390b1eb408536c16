"""Paths of a YAML made absolute, as text alone: nothing here looks at a disk."""

import posixpath
import re
from itertools import takewhile

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_WILDCARD = re.compile(r"[*?\[]")


def is_uri(text: str) -> bool:
    """True for `scheme://…`."""
    return _URI.match(text) is not None


def scheme_of(text: str) -> str:
    """The scheme of a URI in small letters; `file` for a path."""
    return text.partition("://")[0].lower() if is_uri(text) else "file"


def located(base: str, text: str) -> str:
    """An absolute path, or the URI as it is. `base` is the absolute directory of the YAML."""
    return text if is_uri(text) else posixpath.normpath(posixpath.join(base, text))


def located_glob(base: str, glob: str) -> str:
    """An absolute glob. Wildcards in the name of the YAML's own directory are taken literally."""
    if is_uri(glob) or posixpath.isabs(glob):
        return glob
    escaped = _WILDCARD.sub(lambda match: f"[{match[0]}]", base)
    return posixpath.normpath(posixpath.join(escaped, glob))


def glob_root(base: str, globs: tuple[str, ...]) -> str:
    """What stands before the first wildcard of all globs together: a directory, absolute or as URI."""
    return _common([_fixed_part(base, glob) for glob in globs])


def _fixed_part(base: str, glob: str) -> str:
    scheme = _URI.match(glob)
    start = scheme.end() if scheme else 0
    segments = glob[start:].split("/")
    # The last segment is a file's name even without a wildcard.
    wild = [place for place, segment in enumerate(segments[:-1]) if _WILDCARD.search(segment)]
    fixed = "/".join(segments[: wild[0] if wild else -1])
    if scheme:
        return glob[:start] + fixed
    return posixpath.normpath(posixpath.join("/" if glob.startswith("/") else base, fixed))


def _common(parts: list[str]) -> str:
    if len(set(parts)) == 1:
        return parts[0]
    columns = zip(*(part.split("/") for part in parts), strict=False)
    return "/".join(steps[0] for steps in takewhile(lambda steps: len(set(steps)) == 1, columns)) or "/"


def stem(location: str) -> str:
    """The name of a file without directory, query and extension; of an artifact (`oci://`) without tag and digest."""
    name = posixpath.basename(location.split("?", 1)[0] if is_uri(location) else location)
    if scheme_of(location) == "oci":
        return posixpath.basename(location.partition("@")[0]).partition(":")[0]
    return posixpath.splitext(name)[0] or name or "tasklet"
