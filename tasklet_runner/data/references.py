"""References of artifacts in OCI registries: pure.

Grammar: `registry/repository[:tag][@algorithm:hex]`, as the distribution specification and its first implementation
have it, but for their shorthand without a registry: which one is meant would be this program's choice, not the file's.
"""

import re
from dataclasses import dataclass

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
        scheme = "http" if is_loopback(self.registry) else "https"
        return f"{scheme}://{self.registry}/v2/{self.repository}"

    @property
    def manifest(self) -> str:
        """What is asked for: the digest, else the tag."""
        return self.digest or self.tag


def is_loopback(host: str) -> bool:
    """True for `host[:port]` of this machine."""
    return _LOOPBACK.fullmatch(host) is not None


def parse_reference(text: str) -> Reference:
    """Raises ValueError when it is no reference: a registry is a host, with a dot or a port, or localhost."""
    registry, _, name = text.partition("/")
    found = _REFERENCE.fullmatch(name)
    if found is None or not ("." in registry or ":" in registry or registry == "localhost"):
        raise ValueError(f"{text!r} is no reference of the form registry/repository:tag or …@sha256:…")
    return Reference(registry, found["repository"], found["tag"] or "latest", found["digest"] or "")
