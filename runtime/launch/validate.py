"""Pydantic's findings, told as `file:line: what and the way out`."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import ErrorDetails

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.document import Document, Place

Model = TypeVar("Model", bound=BaseModel)
_SHOWN_AT_MOST = 10


def validated(model: type[Model], data: JsonValue, document: Document, place: Place = ()) -> Model:
    """Check a part of a document against a model.

    Args:
        model: The pydantic model.
        data: What stands at `place`, with substitutions done.
        document: The file, for lines.
        place: Where the part stands.

    Raises:
        LaunchError: Names file, line, key and the way out for each thing that is wrong.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False)
        told = [_sentence(detail, document, place) for detail in found[:_SHOWN_AT_MOST]]
        if len(found) > _SHOWN_AT_MOST:
            told.append(f"and {len(found) - _SHOWN_AT_MOST} more")
        raise LaunchError("\n".join(told)) from error


def _sentence(detail: ErrorDetails, document: Document, place: Place) -> str:
    full: Place = (*place, *detail["loc"])
    if detail["type"] == "unknown_key":
        full = (*full, str(detail["ctx"]["raw"]))
    known = tuple(part for i, part in enumerate(full) if full[: i + 1] in document.lines)
    return f"{document.where(full)}: {dotted(known or full)}: {_told(detail)}"


def _told(detail: ErrorDetails) -> str:
    message = detail["msg"]
    if detail["type"] == "unknown_key" or isinstance(detail["input"], dict | list):
        return message
    if detail["type"] == "string_pattern_mismatch":
        return f"{detail['input']!r} is no usable name: a letter first, then letters, digits, '_'"
    return f"{message}, but it is {detail['input']!r}"


def dotted(place: Place) -> str:
    """Return a place as people write it: `nodes.camera.depends_on[0]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return text.removeprefix(".") or "the file"
