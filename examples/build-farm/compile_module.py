"""Byte-compiles and lints one Python module: compile_module.py PATH_OF_SOURCE PATH_BELOW_ROOT PATH_OF_PYC

Writes a hash-based .pyc (PEP 552), which holds no time and no path of any machine, and on stdout lines of words with
tabs between them: one for each finding, and last one with the module's sizes. A module that this interpreter cannot
compile is a result too: its line says why.
"""

import _ast
import marshal
import os
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.util import MAGIC_NUMBER, source_hash
from types import CodeType

FUNCTIONS = (_ast.FunctionDef, _ast.AsyncFunctionDef)
IMPORTS = (_ast.Import, _ast.ImportFrom)
MUTABLE = (_ast.List, _ast.Dict, _ast.Set)
HASH_BASED = 1

Finding = tuple[int, str, str]  # line, rule, name


def walk(tree: _ast.AST) -> list[_ast.AST]:
    """All nodes. The module ast has the same, and takes as long to import as most modules take to compile."""
    nodes = [tree]
    for node in nodes:
        for child in vars(node).values():
            if isinstance(child, _ast.AST):
                nodes.append(child)
            elif isinstance(child, list):
                nodes.extend(part for part in child if isinstance(part, _ast.AST))
    return nodes


def bindings(node: _ast.Import | _ast.ImportFrom) -> list[str]:
    """The names that an import makes."""
    if isinstance(node, _ast.ImportFrom):
        return [alias.asname or alias.name for alias in node.names]
    return [alias.asname or alias.name.partition(".")[0] for alias in node.names]


def words(nodes: list[_ast.AST]) -> set[str]:
    """The names that are read anywhere, and all strings, which may be in __all__ or an annotation."""
    constants = {node.value for node in nodes if isinstance(node, _ast.Constant) and isinstance(node.value, str)}
    return constants | {node.id for node in nodes if isinstance(node, _ast.Name) and isinstance(node.ctx, _ast.Load)}


def import_findings(node: _ast.Import | _ast.ImportFrom, used: set[str]) -> Iterator[Finding]:
    """Imports of everything, and of what nothing uses."""
    source = node.module or "." if isinstance(node, _ast.ImportFrom) else ""
    if source == "__future__":
        return
    for name in bindings(node):
        if name == "*":
            yield node.lineno, "star-import", source
        elif name not in used:
            yield node.lineno, "unused-import", name


def default_findings(node: _ast.FunctionDef | _ast.AsyncFunctionDef) -> Iterator[Finding]:
    """Default arguments that all calls share and may change."""
    for default in [*node.args.defaults, *node.args.kw_defaults]:
        if isinstance(default, MUTABLE):
            yield default.lineno, "mutable-default", node.name


def findings(nodes: list[_ast.AST], is_package: bool) -> Iterator[Finding]:
    """What the lint has to say. A package's __init__ imports for others, so only its star-imports count."""
    used = words(nodes)
    for node in nodes:
        if isinstance(node, IMPORTS):
            yield from (found for found in import_findings(node, used) if not is_package or found[1] == "star-import")
        elif isinstance(node, FUNCTIONS):
            yield from default_findings(node)
        elif isinstance(node, _ast.ExceptHandler) and node.type is None:
            yield node.lineno, "bare-except", ""


def sizes(source: bytes, nodes: list[_ast.AST]) -> tuple[int, int, int, int]:
    """The module's lines, functions, classes and imports."""
    kinds = Counter(type(node).__name__ for node in nodes)
    functions = kinds["FunctionDef"] + kinds["AsyncFunctionDef"]
    return source.count(b"\n"), functions, kinds["ClassDef"], kinds["Import"] + kinds["ImportFrom"]


def write_pyc(target: str, source: bytes, code: CodeType) -> None:
    """The file that `python -m compileall --invalidation-mode unchecked-hash` would write."""
    folder = os.path.dirname(target)
    if not os.path.isdir(folder):
        os.makedirs(folder)
    with open(target, "wb") as file:
        file.write(MAGIC_NUMBER + HASH_BASED.to_bytes(4, "little") + source_hash(source) + marshal.dumps(code))


def main() -> None:
    """Compiles, writes, reports."""
    path, name, target = sys.argv[1:]
    with open(path, "rb") as file:
        source = file.read()
    try:
        tree = compile(source, name, "exec", _ast.PyCF_ONLY_AST, dont_inherit=True)
        write_pyc(target, source, compile(source, name, "exec", dont_inherit=True))
    except (SyntaxError, ValueError) as fault:
        print("error", name, f"{type(fault).__name__}: {fault}", sep="\t")
        return
    nodes = walk(tree)
    found = sorted(findings(nodes, name.endswith("__init__.py")))
    for line, rule, subject in found:
        print("finding", name, line, rule, subject, sep="\t")
    print("module", name, *sizes(source, nodes), len(found), sep="\t")


main()
