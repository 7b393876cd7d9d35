"""The launch file's JSON schema, for editors that complete and check while one types."""

from __future__ import annotations

from pydantic import JsonValue

from olympus.runtime.launch.schema import LaunchFile
from olympus.runtime.meanings import meanings, models

_SUBSTITUTION: dict[str, JsonValue] = {"type": "string", "pattern": r"\$\{.+\}"}
_PLAIN = ("integer", "number", "boolean")
_BARE: dict[str, JsonValue] = {"Argument": {}, "Include": {"type": "string"}}


def json_schema() -> dict[str, JsonValue]:
    """Return the JSON schema of a launch file.

    It allows what the reader allows too: `${…}` in place of a number or a truth value, a bare
    default for an argument, a bare path for an include.
    """
    schema: dict[str, JsonValue] = LaunchFile.model_json_schema()
    definitions = schema.get("$defs")
    told = {model.__name__: meanings(model) for model in models(LaunchFile)}
    sections = {**(definitions if isinstance(definitions, dict) else {}), "LaunchFile": schema}
    for name, section in sections.items():
        if isinstance(section, dict):
            _describe(section, told.get(name, {}))
            _loosen(section)
    if isinstance(definitions, dict):
        for name, bare in _BARE.items():
            definitions[name] = {"anyOf": [definitions[name], bare]}
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Olympus launch file"
    return schema


def _describe(section: dict[str, JsonValue], told: dict[str, str]) -> None:
    properties = section.get("properties")
    for name, value in properties.items() if isinstance(properties, dict) else ():
        if isinstance(value, dict) and name in told and "description" not in value:
            value["description"] = told[name]
            ordered = sorted(value.items())
            value.clear()
            value.update(ordered)


def _loosen(section: dict[str, JsonValue]) -> None:
    properties = section.get("properties")
    if not isinstance(properties, dict):
        return
    for name, value in properties.items():
        if not isinstance(value, dict):
            continue
        if isinstance(ways := value.get("anyOf"), list) and _is_plain(ways):
            ways.append(dict(_SUBSTITUTION))
        if value.get("type") in _PLAIN:
            either: dict[str, JsonValue] = {"anyOf": [value, dict(_SUBSTITUTION)]}
            for key in ("description", "title"):
                if key in value:
                    either[key] = value.pop(key)
            properties[name] = either


def _is_plain(ways: list[JsonValue]) -> bool:
    """Tell whether a value that may be left out is a number or a truth value otherwise."""
    kinds = {way.get("type") for way in ways if isinstance(way, dict)}
    return "null" in kinds and len(kinds) == 2 and bool(kinds & set(_PLAIN))
