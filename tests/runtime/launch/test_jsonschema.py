"""The schema for editors."""

from __future__ import annotations

import json
from pathlib import Path

import olympus
from olympus.runtime.launch.jsonschema import json_schema
from olympus.runtime.launch.schema import LaunchFile


def test_the_schema_names_every_key_with_its_meaning() -> None:
    schema = json_schema()
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert set(properties) == set(LaunchFile.model_fields)
    assert all("description" in value for value in properties.values() if isinstance(value, dict))
    assert schema["additionalProperties"] is False


def test_a_number_may_be_a_substitution_and_an_argument_a_bare_value() -> None:
    definitions = json.loads(json.dumps(json_schema()))["$defs"]
    places = (("Host", "nice"), ("Job", "steps"), ("Job", "deadline_ms"))
    for section, key in places:
        found = definitions[section]["properties"][key]
        assert {"type": "string", "pattern": r"\$\{.+\}"} in found["anyOf"], key
    assert {} in definitions["Argument"]["anyOf"]
    assert {"type": "string"} in definitions["Include"]["anyOf"]


def test_the_schema_beside_the_launch_files_is_the_current_one() -> None:
    kept = Path(olympus.__file__).parent / "launch" / "launch.schema.json"
    assert kept.read_text() == json.dumps(json_schema(), indent=2) + "\n", (
        "write it anew: olympus check --json-schema > launch/launch.schema.json"
    )
