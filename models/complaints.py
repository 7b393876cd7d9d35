"""Turn pydantic's findings about a manifest into sentences that name the way out."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Mapping
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

_short = reprlib.Repr()  # aliases can make of a few lines what no memory holds
_short.maxstring = _short.maxother = 100
_short.maxlevel = 2


def explain(
    error: ValidationError, data: Mapping[str, object], model: type[BaseModel], where: str
) -> str:
    """Say what is wrong with a manifest.

    Args:
        error: What pydantic found.
        data: What was read.
        model: The class it was read as.
        where: Where it was read from.

    Returns:
        One line for each finding: place, model, field, reason, way out.
    """
    name = data.get("name", "without a name")
    lines = [f"  {_field(item)}: {_reason(item, model)}" for item in _distinct(error)]
    return "\n".join([f"{where}: model {name}: the manifest is not right", *lines])


def _distinct(error: ValidationError) -> list[ErrorDetails]:
    """Keep one finding for each field (a union gives one for each of its members)."""
    seen: dict[str, ErrorDetails] = {}
    for item in error.errors():
        seen.setdefault(_field(item), item)
    return list(seen.values())


def _field(item: ErrorDetails) -> str:
    path = ""
    for step in item["loc"]:
        if isinstance(step, int):
            path += f"[{step}]"
        elif not step.startswith(("constrained-", "function-")) and step not in ("int", "str"):
            path += f".{step}" if path else step
    return path or "manifest"


def _reason(item: ErrorDetails, model: type[BaseModel]) -> str:
    if item["type"] == "missing":
        return "is missing; add it"
    if item["type"] == "extra_forbidden":
        return "is unknown; " + _hint(item, model)
    message = item["msg"].removeprefix("Value error, ")
    if item["type"] == "value_error" or isinstance(item["input"], dict):
        return message
    return f"{message}, not {_short.repr(item['input'])}"


def _hint(item: ErrorDetails, model: type[BaseModel]) -> str:
    part: type[BaseModel] | None = model
    for step in item["loc"][:-1]:
        if isinstance(step, str) and part is not None:
            part = _part(part, step)
    known = sorted(part.model_fields) if part is not None else []
    near = difflib.get_close_matches(str(item["loc"][-1]), known, n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


def _part(model: type[BaseModel], field: str) -> type[BaseModel] | None:
    """Find the model class inside the annotation of a field, however deep."""
    if field not in model.model_fields:
        return None
    pending: list[object] = [model.model_fields[field].annotation]
    while pending:
        kind = pending.pop()
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
        pending.extend(get_args(kind))
    return None
