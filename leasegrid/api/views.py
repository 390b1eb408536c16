"""A document as rules across fields see it: what was given, beside the faults of single fields.

A view never trusts a value that is at fault: it is given (so that "exactly one of" counts it) but has no value (so that
no comparison is made with it). Thus the rules run at once with the checks of single fields, and each mistake is told
once.
"""

from dataclasses import dataclass, field
from functools import cached_property

from leasegrid.api.common import Model
from leasegrid.api.documents import Path
from leasegrid.api.messages import closest
from leasegrid.api.quantities import parse_bytes, parse_millicores
from leasegrid.api.shapes import fields_of, model_of


@dataclass
class Findings:
    """Faults by path, collected while rules run; `bad` are paths that are at fault already."""

    bad: frozenset[Path] = frozenset()
    faults: list[tuple[Path, str]] = field(default_factory=list)

    @cached_property
    def tainted(self) -> frozenset[Path]:
        """The paths at fault and all that lead to them: a document may have a fault in each of thousands of lines."""
        return frozenset(path[:length] for path in self.bad for length in range(1, len(path) + 1))


@dataclass(frozen=True)
class View:
    """The value at a path, looked at as a model; `raw` is None when it is not there."""

    model: type[Model]
    raw: object
    path: Path
    findings: Findings

    @property
    def present(self) -> bool:
        """True when a mapping stands here."""
        return isinstance(self.raw, dict)

    def has(self, name: str) -> bool:
        """True when the field was given, rightly or wrongly; a misspelt name counts as the one that was meant."""
        return name in self._given() or name in self._meant()

    def given_of(self, *names: str) -> list[str]:
        """Those of the fields that were given."""
        return [name for name in names if self.has(name)]

    def child(self, name: str) -> "View":
        """The mapping in a field."""
        model = model_of(fields_of(self.model)[name].annotation)
        if model is None:
            raise TypeError(f"{self.model.__name__}.{name} holds no model")
        return View(model, self._given().get(name), (*self.path, name), self.findings)

    def children(self, name: str) -> list["View"]:
        """The mappings of a list."""
        items = self._given().get(name)
        holder = self.child(name)
        if not isinstance(items, list):
            return []
        return [View(holder.model, item, (*holder.path, index), self.findings) for index, item in enumerate(items)]

    def texts(self, name: str) -> list[str]:
        """The texts of a list."""
        items = self._given().get(name)
        return [item for item in items if isinstance(item, str)] if isinstance(items, list) else []

    def integer(self, name: str) -> int | None:
        """A number, or its default; None when there is none, or it is at fault."""
        value = self._value(name)
        return value if isinstance(value, int) else None

    def text(self, name: str) -> str | None:
        """A text, or its default; None when there is none, or it is at fault."""
        value = self._value(name)
        return str(value) if isinstance(value, str) else None

    def flag(self, name: str) -> bool:
        """A truth value, or its default; False when it is at fault."""
        return self._value(name) is True

    def size(self, name: str) -> int | None:
        """A size in bytes, or its default; None when there is none, or it is at fault."""
        value = self._value(name)
        return None if value is None else parse_bytes(value)

    def millicores(self, name: str) -> int | None:
        """Thousandths of a core; None when there are none, or they are at fault. Defaults are thousandths already."""
        if name not in self._given():
            return self.integer(name)
        value = self._value(name)
        return None if value is None else parse_millicores(value)

    def fault(self, message: str, *steps: str | int) -> None:
        """Report a fault here, or at a field below."""
        self.findings.faults.append(((*self.path, *steps), message))

    def exactly_one(self, *names: str) -> None:
        """Exactly one of these fields is given, where there is something at all."""
        given = self.given_of(*names)
        if not self.present:
            return
        if not given:
            self.fault(f"needs exactly one of {', '.join(names)}")
        elif len(given) > 1:
            self.fault(f"has {' and '.join(given)}: give exactly one of {', '.join(names)}")

    def not_above(self, lower: str, upper: str) -> None:
        """One number does not exceed another."""
        least, most = self.integer(lower), self.integer(upper)
        if least is not None and most is not None and least > most:
            self.fault(f"is {least}, but {upper} is {most}: {lower} must not be larger", lower)

    def _given(self) -> dict[str, object]:
        return self.raw if isinstance(self.raw, dict) else {}

    def _meant(self) -> set[str | None]:
        known = fields_of(self.model)
        return {closest(str(name), known) for name in self._given() if name not in known}

    def _value(self, name: str) -> object:
        here = (*self.path, name)
        if here in self.findings.tainted or name in self._meant():
            return None
        return self._given()[name] if name in self._given() else fields_of(self.model)[name].default
