"""Type hashes of ROS 2: RIHS01, the sha256 of a type's description in canonical JSON.

Source: REP-2011 and `rosidl` 4.6: the numbers of field types and the order of the JSON.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from olympus.runtime.bus.ros2.catalogue import Catalogue
from olympus.runtime.bus.ros2.definitions import Definition, FieldType

_NESTED = 1
_NUMBERS = {
    "int8": 2,
    "uint8": 3,
    "char": 3,  # since ROS 2 a char is an uint8; type 13 is never used
    "int16": 4,
    "uint16": 5,
    "int32": 6,
    "uint32": 7,
    "int64": 8,
    "uint64": 9,
    "float32": 10,
    "float64": 11,
    "bool": 15,
    "byte": 16,
    "string": 17,
    "wstring": 18,
}
_BOUNDED_TEXT = {"string": 21, "wstring": 22}
_ARRAY, _BOUNDED, _UNBOUNDED = 48, 96, 144


def type_hash(catalogue: Catalogue, name: str) -> str:
    """Return the RIHS01 hash of a message, a service, or a part of a service or an action.

    Raises:
        MessageError: A definition is missing.
    """
    return "RIHS01_" + hashlib.sha256(type_description(catalogue, name).encode()).hexdigest()


def type_description(catalogue: Catalogue, name: str) -> str:
    """Return the description that is hashed.

    Raises:
        MessageError: A definition is missing.
    """
    first, *others = catalogue.parts(name)
    return json.dumps(
        {
            "type_description": _described(first),
            "referenced_type_descriptions": [
                _described(one) for one in sorted(others, key=lambda one: one.name)
            ],
        }
    )


def _described(definition: Definition) -> dict[str, Any]:
    return {
        "type_name": definition.name,
        "fields": [
            {"name": field.name, "type": _described_type(field.type)} for field in definition.fields
        ],
    }


def _described_type(kind: FieldType) -> dict[str, Any]:
    number = _NUMBERS.get(kind.base, _NESTED)
    if kind.most_chars:
        number = _BOUNDED_TEXT[kind.base]
    if kind.is_array:
        number += _BOUNDED if kind.is_bounded else _ARRAY if kind.count else _UNBOUNDED
    return {
        "type_id": number,
        "capacity": kind.count,
        "string_capacity": kind.most_chars,
        "nested_type_name": "" if kind.is_primitive else kind.base,
    }
