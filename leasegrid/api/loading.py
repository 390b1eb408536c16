"""Objects from YAML, or all that is wrong with it: every fault of every document at once, with the path of its
field.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from leasegrid.api.common import API_VERSION, Model
from leasegrid.api.documents import Document, Path, Problem, read_documents
from leasegrid.api.graph_rules import check_graph
from leasegrid.api.job import Job, JobSpec
from leasegrid.api.kind_rules import check_job, check_lease, check_pool
from leasegrid.api.lease import Lease, LeaseSpec
from leasegrid.api.messages import explain, suggestion
from leasegrid.api.pool import InstancePool, InstancePoolSpec
from leasegrid.api.taskgraph import TaskGraph, TaskGraphSpec
from leasegrid.api.views import Findings, View

Resource = Job | Lease | InstancePool | TaskGraph


@dataclass(frozen=True)
class FieldFault:
    """One mistake. `document` counts from 1 (0: the text as a whole), `line` too; `path` as in
    `spec.input.lines.perChunk`.
    """

    origin: str
    document: int
    line: int
    kind: str
    name: str
    path: str
    message: str

    def __str__(self) -> str:
        subject = f"{self.kind}/{self.name}: " if self.kind else ""
        path = f"{self.path}: " if self.path else ""
        return f"{self.origin}:{self.line}: {subject}{path}{self.message}"


@dataclass(frozen=True)
class Loaded:
    """The objects in the order of their documents. Nothing may be started while there are `faults`."""

    objects: tuple[Resource, ...]
    faults: tuple[FieldFault, ...]


@dataclass(frozen=True)
class _Kind:
    model: type[Job] | type[Lease] | type[InstancePool] | type[TaskGraph]
    spec: type[Model]
    check: Callable[[View], None]


KINDS: Mapping[str, _Kind] = {
    "InstancePool": _Kind(InstancePool, InstancePoolSpec, check_pool),
    "Lease": _Kind(Lease, LeaseSpec, check_lease),
    "Job": _Kind(Job, JobSpec, check_job),
    "TaskGraph": _Kind(TaskGraph, TaskGraphSpec, check_graph),
}

_METADATA = frozenset({"name", "namespace", "labels", "annotations"})
"""What people write of an object's metadata; the server adds much."""


def load_documents(text: str, origin: str) -> Loaded:
    """Read all documents of a YAML text. `origin` names it in faults, such as its file's name. Raises nothing."""
    documents, broken = read_documents(text)
    objects: list[Resource] = []
    faults: list[FieldFault] = []
    seen: dict[tuple[str, str, str], int] = {}
    for document in documents:
        reader = _Reader(origin, document)
        loaded = reader.read()
        if loaded is not None:
            reader.note_repeated(loaded, seen)
            objects.append(loaded)
        faults += reader.faults
    faults += [_whole(origin, problem) for problem in broken]
    if not documents and not broken:
        faults.append(
            FieldFault(origin, 0, 1, "", "", "", "has no object: write one with apiVersion, kind, metadata, spec")
        )
    return Loaded(tuple(objects), tuple(faults))


def path_text(path: Path) -> str:
    """A path as people write it: `spec.input.items[1].value`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}"
    return text.removeprefix(".")


def _whole(origin: str, problem: Problem) -> FieldFault:
    return FieldFault(origin, 0, problem.line, "", "", "", problem.message)


def read_object(body: Mapping[str, Any]) -> tuple[Resource | None, tuple[str, ...]]:
    """An object of ours as an API server keeps it, without its status; or None and its faults, each as `path: message`.

    The server has judged it by the definitions, which know less than the models: an old server, a cron expression.
    """
    kind = KINDS[body["kind"]]
    metadata = {name: value for name, value in body["metadata"].items() if name in _METADATA}
    raw = {"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": metadata, "spec": body.get("spec", {})}
    loaded, faults = _judged(kind, without_nulls(raw))
    return (None if faults else loaded), tuple(f"{path_text(path)}: {message}" for path, message in faults)


def _judged(kind: _Kind, raw: object) -> tuple[Resource | None, list[tuple[Path, str]]]:
    """What the models and the rules across fields say: the object where the models take it, and all faults."""
    loaded: Resource | None = None
    faults: list[tuple[Path, str]] = []
    try:
        loaded = kind.model.model_validate(raw)
    except ValidationError as error:
        faults = list(_explained(error, kind))
    findings = Findings(frozenset(path for path, _ in faults))
    spec = raw.get("spec") if isinstance(raw, dict) else None
    kind.check(View(kind.spec, spec, ("spec",), findings))
    return loaded, faults + findings.faults


def _explained(error: ValidationError, kind: _Kind) -> Iterator[tuple[Path, str]]:
    for one in error.errors(include_url=False):
        if one["type"] == "too_short" and one["input"]:
            continue  # its items are faults of their own, and without them it is empty
        yield _field_path(tuple(one["loc"])), explain(one, kind.model)


def _field_path(location: Path) -> Path:
    """The path without pydantic's own marks for keys of mappings."""
    return location[:-1] if location and location[-1] == "[key]" else location


class _Reader:
    """Reads one document; its faults are collected in order of their lines."""

    def __init__(self, origin: str, document: Document) -> None:
        self._origin = origin
        self._document = document
        self._raw = without_nulls(document.value)
        self._found: list[tuple[Path, str, int]] = []

    @property
    def faults(self) -> list[FieldFault]:
        """What was found, from the top of the document to its end."""
        kind, name = self._word("kind"), self._name()
        return [
            FieldFault(self._origin, self._document.number, line, kind, name, path_text(path), message)
            for path, message, line in sorted(self._found, key=lambda one: one[2])
        ]

    def read(self) -> Resource | None:
        """The object, when the document has no fault."""
        for problem in self._document.problems:
            self._found.append((problem.path, problem.message, problem.line))
        if not isinstance(self._raw, dict):
            self._note((), "is no object: write a mapping with apiVersion, kind, metadata, spec")
            return None
        kind = KINDS.get(self._word("kind"))
        if kind is None:
            self._note(("kind",), self._unknown_kind())
            return None
        loaded = self._validate(kind)
        return None if self._found else loaded

    def note_repeated(self, loaded: Resource, seen: dict[tuple[str, str, str], int]) -> None:
        """A fault when an earlier document has the same kind, namespace and name."""
        key = (loaded.kind, loaded.metadata.namespace, loaded.metadata.name)
        if key in seen:
            self._note(("metadata", "name"), f"the {loaded.kind} of document {seen[key]} has the same name")
        seen.setdefault(key, self._document.number)

    def _validate(self, kind: _Kind) -> Resource | None:
        loaded, faults = _judged(kind, self._raw)
        for path, message in faults:
            self._note(path, self._version_fault() if path == ("apiVersion",) else message)
        return loaded

    def _note(self, path: Path, message: str) -> None:
        self._found.append((path, message, self._document.line_of(path)))

    def _word(self, name: str) -> str:
        value = self._raw.get(name) if isinstance(self._raw, dict) else None
        return value if isinstance(value, str) else ""

    def _name(self) -> str:
        metadata = self._raw.get("metadata") if isinstance(self._raw, dict) else None
        return str(metadata.get("name", "?")) if isinstance(metadata, dict) else "?"

    def _unknown_kind(self) -> str:
        word = self._word("kind")
        return (
            f"{word!r} is no kind of {API_VERSION}: {suggestion(word, KINDS)}"
            if word
            else f"is required: {', '.join(KINDS)}"
        )

    def _version_fault(self) -> str:
        return f"must be {API_VERSION}, is {self._word('apiVersion')!r}"


def without_nulls(value: object) -> object:
    """A copy in which fields set to null are left out, as Kubernetes does."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value
