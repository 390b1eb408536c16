"""Checks what LeaseGrid stands on: python tools/dependencies.py

Each direct dependency says why it is there, and everything that an installation brings (the extras too) stands in
constraints.txt at the version that is installed, fits together, and has a licence that may go along with Apache-2.0.
Whether a pinned version has a published advisory is another question: `pip-audit -r constraints.txt` answers it where
its services are reached.
"""

import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
OWN = "leasegrid"
EXTRAS = ("", "s3")
ACCEPTED = re.compile(r"Apache|BSD|MIT|ISC|PSF|Python Software Foundation|MPL 2\.0")
REFUSED = re.compile(r"\bA?GPL")


def dependencies() -> dict[str, Requirement]:
    """What an installation with all extras brings, by name, with what asks for it."""
    found: dict[str, Requirement] = {}
    waiting = [OWN]
    while waiting:
        asker = waiting.pop()
        for text in metadata.requires(asker) or ():
            asked = Requirement(text)
            name = canonicalize_name(asked.name)
            if name not in found and _applies(asked, EXTRAS if asker == OWN else ("",)):
                found[name] = asked
                waiting.append(name)
    return found


def _applies(asked: Requirement, extras: tuple[str, ...]) -> bool:
    return asked.marker is None or any(asked.marker.evaluate({"extra": extra}) for extra in extras)


def licence(name: str) -> str:
    """As its metadata have it."""
    said = metadata.metadata(name)
    classifiers = [one for one in said.get_all("Classifier") or () if one.startswith("License ::")]
    return said["License-Expression"] or "; ".join(classifiers) or said["License"] or "unknown"


def pinned() -> dict[str, str]:
    """The versions of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {canonicalize_name(name): version.split()[0] for name, version in pairs}


def faults() -> Iterator[str]:
    """What is wrong, and what to do."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = text.partition("\ndependencies = [")[2].partition("\n[project.scripts]")[0]
    for line in re.findall(r'^  ".*$', listed, re.MULTILINE):
        if "#" not in line:
            yield f"pyproject.toml: {line.strip()} has no reason: add one behind a #"
    pins = pinned()
    for name, asked in sorted(dependencies().items()):
        installed = metadata.version(name)
        if not asked.specifier.contains(Version(installed), prereleases=True):
            yield f"{name} {installed} is installed where {asked} is asked for: run pip check"
        if pins.get(name) != installed:
            yield f"{name} {installed} is installed, and constraints.txt has {pins.get(name, 'none')}: pin it"
        terms = licence(name)
        if not ACCEPTED.search(terms) or REFUSED.search(terms):
            yield f"{name} has the licence {terms!r}: accept it in tools/dependencies.py, or do without"


def main() -> int:
    """Exit status 1 with a line for each fault."""
    found = list(faults())
    sys.stdout.writelines(f"{fault}\n" for fault in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
