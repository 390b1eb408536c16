"""References of artifacts in OCI registries: pure.

Grammar: `[registry/]repository[:tag][@algorithm:hex]`, as the distribution specification and its first
implementation have it; a first part without dot, colon and `localhost` belongs to the repository.
"""

import re
from dataclasses import dataclass

DEFAULT_REGISTRY = "docker.io"
_DEFAULT_HOST = "registry-1.docker.io"
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REFERENCE = re.compile(
    rf"(?P<repository>{_PART}(?:/{_PART})*)(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{{0,127}}))?(?:@(?P<digest>sha256:[0-9a-f]{{64}}))?"
)
_LOOPBACK = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")


@dataclass(frozen=True)
class Reference:
    """Where a manifest is: with a digest the tag says nothing."""

    registry: str
    repository: str
    tag: str = "latest"
    digest: str = ""

    @property
    def base(self) -> str:
        """The URL of the repository. Only on this machine is HTTP spoken in plain."""
        host = _DEFAULT_HOST if self.registry == DEFAULT_REGISTRY else self.registry
        return f"{'http' if is_loopback(host) else 'https'}://{host}/v2/{self.repository}"

    @property
    def manifest(self) -> str:
        """What is asked for: the digest, else the tag."""
        return self.digest or self.tag


def is_loopback(host: str) -> bool:
    """True for `host[:port]` of this machine."""
    return _LOOPBACK.fullmatch(host) is not None


def parse_reference(text: str) -> Reference:
    """Raises ValueError when it is no reference."""
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        registry, name = first, rest
    else:
        registry, name = DEFAULT_REGISTRY, text
    found = _REFERENCE.fullmatch(name)
    if found is None:
        raise ValueError(f"{text!r} is no reference of the form registry/repository:tag or …@sha256:…")
    repository = found["repository"]
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = f"library/{repository}"
    return Reference(registry, repository, found["tag"] or "latest", found["digest"] or "")
