"""The house's own rules that no linter knows: size of rooms, and words that do not belong into the project.

Run by `make lint`. Prints each fault as `file:line: what (what to do)`; exit status 1 when there is one.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 50
FORBIDDEN = re.compile(r"\b(TO" r"DO|FIX" r"ME)\b|://[a-z0-9.-]*(registry|files|packages)\.[a-z]|/simp" r"le/")


def main() -> int:
    """Check every tracked source; returns the exit status."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], check=True, capture_output=True, text=True
    )
    faults = [fault for name in listing.stdout.split() for fault in check(Path(name))]
    for fault in faults:
        print(fault)
    return 1 if faults else 0


def check(path: Path) -> Iterator[str]:
    """Every fault of one file."""
    if path.suffix not in {".py", ".md", ".yaml", ".toml", ".txt"} or not path.is_file():
        return
    text = path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if FORBIDDEN.search(line):
            yield f"{path}:{number}: a mark or address that does not belong here (finish it, or name the package)"
    if path.suffix == ".py":
        yield from _sizes(path, text)


def _sizes(path: Path, text: str) -> Iterator[str]:
    lines = text.count("\n")
    if lines > MAX_FILE_LINES:
        yield f"{path}:1: {lines} lines (a crowded room: redesign it; the cap is {MAX_FILE_LINES})"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > MAX_FUNCTION_LINES:
                yield f"{path}:{node.lineno}: {node.name} has {length} lines (split it; cap {MAX_FUNCTION_LINES})"


if __name__ == "__main__":
    sys.exit(main())
