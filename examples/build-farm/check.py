"""Checks a run of farm.yaml against this interpreter: python check.py [RESULTS]

For each module of the folder stdlib: its sizes counted with the module ast, its bare excepts and star imports counted
in its tokens, its .pyc's header, and its code where this interpreter is of the version that wrote it. Exits with 0, or
with 1 and the first fault.
"""

import _imp
import ast
import io
import itertools
import marshal
import sys
import tokenize
import warnings
from collections import Counter
from pathlib import Path

MAGIC = b"\xcb\r\r\n"  # of CPython 3.12
HASH_BASED = (1).to_bytes(4, "little")
GUEST = (3, 12)


class WrongError(Exception):
    """What is wrong with the results."""


def sizes(source: bytes) -> list[int]:
    """Lines, functions, classes and imports, as CPython's own walk finds them."""
    kinds = Counter(type(node) for node in ast.walk(ast.parse(source)))
    functions = kinds[ast.FunctionDef] + kinds[ast.AsyncFunctionDef]
    return [source.count(b"\n"), functions, kinds[ast.ClassDef], kinds[ast.Import] + kinds[ast.ImportFrom]]


def found_in_tokens(source: bytes) -> Counter[str]:
    """How often the tokens show a bare except and a star import."""
    words = [token.string for token in tokenize.tokenize(io.BytesIO(source).readline)]
    pairs = Counter(itertools.pairwise(words))
    return Counter({"bare-except": pairs["except", ":"], "star-import": pairs["import", "*"]})


def check_code(pyc: bytes, source: bytes, name: str) -> None:
    """The .pyc is the one that CPython 3.12 makes of this source."""
    key = int.from_bytes(MAGIC, "little")
    if pyc[:16] != MAGIC + HASH_BASED + _imp.source_hash(key, source):
        raise WrongError(f"{name}c has not the header of a hash-based .pyc of this source")
    if sys.version_info[:2] != GUEST:
        return
    code = marshal.loads(pyc[16:])  # noqa: S302 - it is compared, never run
    if code != compile(source, name, "exec", dont_inherit=True):
        raise WrongError(f"{name}c holds other code than this interpreter compiles")


def check_module(results: Path, library: Path, name: str) -> bool:
    """Whether the module was compiled; raises WrongError when what was reported of it is not so."""
    source = (library / name).read_bytes()
    records = [line.split("\t") for line in (results / f"{name}.stdout").read_text(encoding="utf-8").splitlines()]
    if any(record[1] != name for record in records):
        raise WrongError(f"{name}.stdout speaks of another module")
    if records[-1][0] == "error":
        if sys.version_info[:2] <= GUEST:
            raise WrongError(f"{name} was not compiled: {records[-1][2]}")
        return False
    *found, last = records
    if [int(size) for size in last[2:]] != [*sizes(source), len(found)]:
        raise WrongError(f"{name} was reported with the sizes {last[2:]}, not {[*sizes(source), len(found)]}")
    reported, shown = Counter(record[3] for record in found), found_in_tokens(source)
    if any(reported[rule] != count for rule, count in shown.items()):
        raise WrongError(f"{name} was reported with {dict(reported)}, but its tokens show {dict(shown)}")
    check_code((results / f"{name}c").read_bytes(), source, name)
    return True


def check(results: Path) -> str:
    """What was found right; raises WrongError."""
    library = Path(__file__).with_name("stdlib")
    names = sorted(path.relative_to(library).as_posix() for path in library.rglob("*.py"))
    reported = sorted(path.relative_to(results).as_posix() for path in results.rglob("*.py.stdout"))
    if not names or reported != [f"{name}.stdout" for name in sorted(names)]:
        raise WrongError(f"{results} has outputs of {len(reported)} modules, {library} has {len(names)} modules")
    compiled = sum(check_module(results, library, name) for name in names)
    head = f"{compiled} modules compiled, {len(names) - compiled} not"
    report = next(results.rglob("report.txt"), None)
    if report is None or report.read_text(encoding="utf-8").splitlines()[0] != head:
        raise WrongError(f"{report} does not begin with {head!r}")
    return f"{head}; sizes, findings and code of each are what Python {sys.version.split()[0]} finds"


def main() -> int:
    """The exit code."""
    warnings.simplefilter("ignore", SyntaxWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    try:
        print("right:", check(Path(sys.argv[1] if len(sys.argv) > 1 else "results")))
    except (WrongError, OSError) as fault:
        print("wrong:", fault, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
