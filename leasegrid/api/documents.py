"""YAML as Kubernetes reads it: many documents, no dates and no numbers to the base of sixty, a key once, with line
numbers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

Path = tuple[str | int, ...]
"""Where a value stands in a document: keys and indexes from its top."""

_Base: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*|0x[0-9a-fA-F]+)")
_MAX_BITS = 128
"""Of a whole number: no field takes more, and Python writes none of some thousand digits."""

_TAGS_LEFT_OUT = ("tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class _Loader(_Base):  # type: ignore[misc, valid-type]  # the C loader where PyYAML was built with it
    """The safe loader without the surprises of YAML 1.1, and with words for a value that its tag or length forbids."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        """The node's value. Raises MarkedYAMLError."""
        try:
            value = super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, TypeError) as error:
            raise _unreadable(node) from error
        if isinstance(value, int) and value.bit_length() > _MAX_BITS:
            raise _unreadable(node)
        return value


_Loader.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag not in _TAGS_LEFT_OUT]
    for first, resolvers in _Base.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(_NUMBER.pattern + r"\Z"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?((\d+\.\d*|\.\d+)([eE][-+]?\d+)?|\d+[eE][-+]?\d+)\Z"),
    list("-+0123456789."),
)


def _unreadable(node: yaml.Node) -> yaml.MarkedYAMLError:
    shown = f"{node.value!r:.40}" if isinstance(node, yaml.ScalarNode) else "this"
    problem = f"{shown} cannot be read as {node.tag.rpartition(':')[2]}"
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


MAX_DEPTH = 64
"""Deeper nesting is refused: the C parser recurses and would end the process."""

MAX_VALUES = 1_000_000
"""More values, aliases expanded, are refused: a few lines of aliases can stand for more than memory holds."""


@dataclass(frozen=True)
class Problem:
    """A fault of the YAML itself. `line` and `column` from 1."""

    line: int
    column: int
    path: Path
    message: str


@dataclass(frozen=True)
class Document:
    """One document: its value, the line of its start, its place among the documents (from 1), and where its parts
    stand.
    """

    number: int
    line: int
    value: object
    node: yaml.Node
    problems: tuple[Problem, ...]

    def line_of(self, path: Path) -> int:
        """The line of the innermost part of the path that is there."""
        node, line = self.node, self.line
        for step in path:
            found = _step(node, step)
            if found is None:
                break
            node, line = found
        return line


def read_documents(text: str) -> tuple[list[Document], list[Problem]]:
    """All documents that can be read, and the fault of syntax at which reading stopped, if any."""
    documents: list[Document] = []
    try:
        documents.extend(_documents(text))
    except yaml.MarkedYAMLError as error:
        return _before(text, error), [_syntax(text, error)]
    except yaml.YAMLError as error:
        return [], [Problem(1, 1, (), f"is no YAML that can be read: {error}")]
    return documents, []


def _before(text: str, error: yaml.MarkedYAMLError) -> list[Document]:
    """The documents that end before the fault, so that their own faults are reported too."""
    mark = error.problem_mark or error.context_mark
    lines = text.splitlines(keepends=True)[: mark.line if mark else 0]
    starts = [number for number, line in enumerate(lines) if line.startswith("---")]
    try:
        return list(_documents("".join(lines[: starts[-1]]))) if starts else []
    except yaml.YAMLError:
        return []


def _documents(text: str) -> Iterator[Document]:
    _refuse_depth(text)
    loader = _Loader(text)
    try:
        number = 0
        while loader.check_node():
            node = loader.get_node()
            number += 1
            _refuse_size(node)
            problems = tuple(_repeated(node, (), set()))
            value = loader.construct_document(node)
            if value is not None:
                yield Document(number, node.start_mark.line + 1, value, node, problems)
    finally:
        loader.dispose()


def _refuse_depth(text: str) -> None:
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            problem = f"nested deeper than {MAX_DEPTH} levels"
            mark = event.start_mark
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)  # type: ignore[arg-type]  # the C parser's Mark


def _refuse_size(node: yaml.Node) -> None:
    if _expanded(node, {}) > MAX_VALUES:
        problem = f"more than {MAX_VALUES} values, or an alias within itself"
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _expanded(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node stands for; one that contains itself, for too many."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MAX_VALUES + 1
        parts = node.value if isinstance(node, yaml.SequenceNode) else (part for pair in node.value for part in pair)
        known[id(node)] = 1 + sum(_expanded(part, known) for part in parts)
    return known[id(node)]


def _syntax(text: str, error: yaml.MarkedYAMLError) -> Problem:
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
    found = text.split("\n")[line - 1 : line]
    why = "a tab, where YAML indents with spaces" if found and found[0][column - 1 :][:1] == "\t" else error.problem
    return Problem(line, column, (), f"YAML cannot be read at line {line}, column {column}: {why}")


def _repeated(node: yaml.Node, path: Path, seen: set[int]) -> Iterator[Problem]:
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repeated(item, (*path, index), seen)
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            here = (*path, str(key.value))
            line = key.start_mark.line + 1
            if str(key.value) in first:
                message = f"stands twice, first in line {first[str(key.value)]}: keep one of them"
                yield Problem(line, key.start_mark.column + 1, here, message)
            first.setdefault(str(key.value), line)
            yield from _repeated(value, here, seen)


def _step(node: yaml.Node, step: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == step:
                return value, key.start_mark.line + 1
    return None
