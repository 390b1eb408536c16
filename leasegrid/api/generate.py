"""`python -m leasegrid.api.generate [--check]`: crds/ and docs/api.md from the models, docs/openapi.json from the
broker's routes and messages.

With --check nothing is written: what the models say is compared with the files, and each that differs is named, with
the command that mends it; the exit status is then 1.
"""

import argparse
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import yaml

from leasegrid.api.definitions import KINDS, definition_of
from leasegrid.api.openapi import openapi_json
from leasegrid.api.reference import reference

HEAD = "# Made from leasegrid/api/ by `make generate`; change the models, not this file.\n"


@cache
def generated() -> Mapping[str, str]:
    """The content of each generated file, by its path below the project's folder. Raises SchemaError."""
    crds = {f"crds/{kind.file_name}": _yaml(definition_of(kind)) for kind in KINDS}
    return {**crds, "docs/api.md": reference(), "docs/openapi.json": openapi_json().decode("utf-8")}


def _yaml(document: object) -> str:
    return HEAD + yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Writes equal parts out again: anchors are legal, but nobody reads them well."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def differences(root: Path) -> list[str]:
    """What in the files is not as the models say, a line each."""
    wanted = generated()
    found = [name for name, text in wanted.items() if _text(root / name) != text]
    left = sorted(path for path in (root / "crds").glob("*.yaml") if f"crds/{path.name}" not in wanted)
    return [
        *(f"{name}: is not what the models say (run: make generate)" for name in found),
        *(f"crds/{path.name}: belongs to no kind (delete it)" for path in left),
    ]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def write(root: Path) -> None:
    """Write every file anew."""
    for name, text in generated().items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m leasegrid.api.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare and write nothing")
    parser.add_argument("--root", type=Path, default=Path(), help="the project's folder (default: the current one)")
    options = parser.parse_args(arguments)
    if not options.check:
        write(options.root)
        return 0
    found = differences(options.root)
    for line in found:
        sys.stderr.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
