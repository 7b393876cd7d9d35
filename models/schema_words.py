"""Whether a text can be held to a JSON schema while it is written, word by word of the schema.

llama-cpp-python makes a grammar of some words and passes over the others without saying so: of
`{"type": "number", "maximum": 0.4}` it keeps that it is a number. What it passes over is refused.

Source: `SchemaConverter.visit` in llama-cpp-python's `llama_grammar.py`, version 0.3.36.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeGuard

from olympus.runtime.errors import ModelError

_NOTES: Final = frozenset(
    {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly"}
    | {"discriminator", "$schema", "$id", "$comment", "$defs", "definitions"}
)
"""They bind nobody."""
_FORMATS: Final = frozenset(
    {"date", "time", "date-time", "uuid", "uuid1", "uuid2", "uuid3", "uuid4", "uuid5"}
)
_LISTS: Final = ("anyOf", "oneOf", "allOf", "prefixItems", "items")
_MAPPINGS: Final = ("properties", "$defs", "definitions")
_SINGLE: Final = ("items", "additionalProperties")


def check(model: str, schema: Mapping[str, Any], place: str = "") -> None:
    """Refuse a schema of which a part would not be kept.

    Args:
        model: What errors call it.
        schema: The schema, or a part of it.
        place: Where that stands.

    Raises:
        ModelError: Names the first word that would not be kept, and where it stands.
    """
    for word in schema:
        if word not in _NOTES and word not in _kept(schema):
            where = f"{place}.{word}" if place else word
            raise ModelError(
                f"model {model}: the JSON schema's {where} can't be kept while a text is written; "
                "leave it out, and look at the answer for it"
            )
    lacking = sorted(set(schema.get("required", ())) - set(schema.get("properties", ())))
    if lacking:
        raise ModelError(
            f"model {model}: the JSON schema's {place or 'top'} requires {lacking[0]!r}, which is "
            "not among its properties; write it there"
        )
    for where, part in _parts(schema):
        check(model, part, f"{place}.{where}" if place else where)


def _kept(schema: Mapping[str, Any]) -> set[str]:
    """Return the words that become part of the grammar, where the schema has them."""
    for one in ("$ref", "oneOf", "anyOf"):  # beside it nothing else counts
        if one in schema:
            return {one}
    kind = schema.get("type")
    if isinstance(kind, list):
        return {"type"}
    for one in ("const", "enum"):
        if one in schema:
            return {one, "type"}
    return {"type", *_OF_KIND.get(kind, _of_nothing)(schema)}


def _of_nothing(schema: Mapping[str, Any]) -> set[str]:
    del schema
    return set()


def _of_objects(schema: Mapping[str, Any]) -> set[str]:
    if "properties" in schema or "additionalProperties" in schema:
        return {"properties", "required", "additionalProperties"}
    return {"allOf"} if _are_records(schema.get("allOf")) else set()


def _of_lists(schema: Mapping[str, Any]) -> set[str]:
    if isinstance(schema.get("items"), Mapping):
        return {"items", "minItems", "maxItems"}
    return {"items", "prefixItems"}


def _of_anything(schema: Mapping[str, Any]) -> set[str]:
    return _of_objects(schema) or _of_lists(schema)


def _of_texts(schema: Mapping[str, Any]) -> set[str]:
    if "pattern" in schema:
        return {"pattern"}
    if "format" in schema:
        return {"format"} if schema["format"] in _FORMATS else set()
    return {"minLength", "maxLength"}


_OF_KIND: Final[Mapping[Any, Callable[[Mapping[str, Any]], set[str]]]] = {
    None: _of_anything,
    "object": _of_objects,
    "array": _of_lists,
    "string": _of_texts,
}
"""Words that count besides `type`, by what that is."""


def _are_records(parts: object) -> bool:
    """Tell whether all are objects with properties: all of those are required then."""
    return isinstance(parts, list) and all(
        isinstance(part, Mapping) and set(part) - _NOTES <= {"type", "properties", "required"}
        for part in parts
    )


def _parts(schema: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for word in _LISTS:
        if isinstance(rows := schema.get(word), list):
            yield from ((f"{word}[{i}]", row) for i, row in enumerate(rows) if _is_part(row))
    for word in _MAPPINGS:
        if isinstance(named := schema.get(word), Mapping):
            yield from ((f"{word}.{name}", row) for name, row in named.items() if _is_part(row))
    for word in _SINGLE:
        if isinstance(row := schema.get(word), Mapping):
            yield word, row


def _is_part(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)
