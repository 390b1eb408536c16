"""Looking at models by the names that stand in YAML."""

import types
from functools import cache
from typing import Union, get_args, get_origin

from pydantic.fields import FieldInfo

from leasegrid.api.common import Model
from leasegrid.api.documents import Path


@cache
def fields_of(model: type[Model]) -> dict[str, FieldInfo]:
    """The model's fields by their names in YAML."""
    return {field.alias or name: field for name, field in model.model_fields.items()}


def model_of(annotation: object) -> type[Model] | None:
    """The model that an annotation holds, alone, optional or as an item of a list; None when it holds none."""
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    if get_origin(annotation) in (Union, types.UnionType, tuple) or hasattr(annotation, "__metadata__"):
        return next((found for part in get_args(annotation) if (found := model_of(part)) is not None), None)
    return None


def model_at(model: type[Model], path: Path) -> type[Model] | None:
    """The model that stands at a path below another; None when there is none."""
    current: type[Model] | None = model
    for step in path:
        if isinstance(step, int):
            continue
        field = fields_of(current).get(step) if current is not None else None
        current = model_of(field.annotation) if field is not None else None
    return current


def field_at(model: type[Model], path: Path) -> FieldInfo | None:
    """The field at a path; None when the path does not lead to one."""
    if not path or isinstance(path[-1], int):
        return None
    holder = model_at(model, path[:-1])
    return fields_of(holder).get(path[-1]) if holder is not None else None
