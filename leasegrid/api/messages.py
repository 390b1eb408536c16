"""What a fault of a field says: what is wrong, and what would be right."""

import difflib
from collections.abc import Iterable, Mapping

from pydantic_core import ErrorDetails

from leasegrid.api.common import Model
from leasegrid.api.documents import Path
from leasegrid.api.shapes import field_at, fields_of, model_at

_TYPES = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "string_type": "must be text (put it in quotes)",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
}
_COMPARISONS = {"greater_than_equal": ("at least", "ge"), "less_than_equal": ("at most", "le")}


def explain(error: ErrorDetails, model: type[Model]) -> str:
    """One fault of pydantic in this project's words."""
    kind, given = error["type"], error["input"]
    path: Path = tuple(error["loc"])
    context: Mapping[str, object] = error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(path, model)
    if kind == "missing":
        field = field_at(model, path)
        return f"is required: {field.description}" if field is not None else "is required"
    if kind in _TYPES:
        return f"{_TYPES[kind]}, is {_shown(given)}"
    if kind in _COMPARISONS:
        words, name = _COMPARISONS[kind]
        return f"must be {words} {context[name]}, is {_shown(given)}"
    return _other(kind, given, context, error["msg"])


def _other(kind: str, given: object, context: Mapping[str, object], message: str) -> str:
    if kind in {"enum", "literal_error"}:
        return _no_choice(str(given), str(context["expected"]))
    if kind == "value_error":
        return str(context["error"])
    if kind in {"too_short", "string_too_short"}:
        return "must not be empty"
    if kind in {"too_long", "string_too_long"}:
        return f"is too long: at most {context['max_length']} characters or items"
    return f"{message[:1].lower()}{message[1:]}, is {_shown(given)}"


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was most likely meant, or None."""
    by_lower = {one.lower(): one for one in known}
    found = difflib.get_close_matches(word.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None


def suggestion(word: str, known: Iterable[str]) -> str:
    """`did you mean X?`, or the list of what there is."""
    names = list(known)
    found = closest(word, names)
    return f"did you mean {found}?" if found else f"there is {', '.join(names)}"


def _unknown(path: Path, model: type[Model]) -> str:
    holder = model_at(model, path[:-1])
    names = list(fields_of(holder)) if holder is not None else []
    return f"is no field here: {suggestion(str(path[-1]), names)}"


def _no_choice(given: str, expected: str) -> str:
    choices = [choice.strip("'") for choice in expected.replace(" or ", ", ").split(", ")]
    found = closest(given, choices)
    hint = f"; did you mean {found}?" if found else ""
    listed = " or ".join([", ".join(choices[:-1]), choices[-1]]) if len(choices) > 1 else choices[0]
    return f"must be {listed}, is {_shown(given)}{hint}"


def _shown(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
