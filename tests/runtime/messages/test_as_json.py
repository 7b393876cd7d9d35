"""Every message type as JSON and back, bit for bit; other JSON is refused in our words."""

from __future__ import annotations

import dataclasses
import enum
import json
import math
import types
import typing
from random import Random
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import numpy as np
import pytest

from olympus.runtime.errors import MessageError, SchemaError
from olympus.runtime.messages import Message, Ranges, Reading, decode, encode, message_types
from olympus.runtime.messages.as_json import from_json, json_schema, to_json
from olympus.runtime.messages.schema import Array


def any_value(hint: Any, luck: Random) -> Any:
    """Return a value that a field of a message may have."""
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        spec = next(a for a in args if isinstance(a, Array))
        shape = [luck.randint(0, 4) if n is None else n for n in spec.shape]
        raw = luck.randbytes(int(np.prod(shape)) * np.dtype(spec.dtype).itemsize)
        made = np.frombuffer(raw, spec.dtype).reshape(shape)
        return np.nan_to_num(made, nan=0.5) if made.dtype.kind == "f" else made
    if origin in (typing.Union, types.UnionType):
        inner = next(a for a in args if a is not types.NoneType)
        return luck.choice([None, any_value(inner, luck)])
    if origin is tuple:
        return tuple(any_value(args[0], luck) for _ in range(luck.randint(0, 3)))
    if origin is dict:
        return {f"k{n}": any_value(args[1], luck) for n in range(luck.randint(0, 3))}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return any_instance(hint, luck)
    return _plain(hint, luck)


def _plain(hint: Any, luck: Random) -> Any:
    if issubclass(hint, enum.Enum):
        return luck.choice(list(hint))
    choices: dict[type, Any] = {
        bool: luck.random() < 0.5,
        int: luck.choice([0, 1, 2**62 + 1, luck.randint(0, 10**9)]),
        float: luck.choice([0.1, -math.inf, luck.uniform(-1e300, 1e300), 5e-324]),
        str: luck.choice(["", "a", "ä€𝄞\n", "NaN"]),
        bytes: luck.randbytes(luck.randint(0, 9)),
    }
    return choices[hint]


def any_instance(cls: type[Any], luck: Random) -> Any:
    """Return an instance of a message class with random fields."""
    hints = get_type_hints(cls, include_extras=True)
    return cls(**{f.name: any_value(hints[f.name], luck) for f in dataclasses.fields(cls)})


@pytest.mark.parametrize(
    # Not those that other tests make up: which of these are there depends on what ran before.
    "name",
    sorted(name for name in message_types() if not name.startswith("quick/")),
)
def test_every_type_comes_back_as_it_was(name: str) -> None:
    luck = Random(name)
    for _ in range(10):
        message: Message = any_instance(message_types()[name], luck)
        text = json.dumps(to_json(message), allow_nan=False)
        assert encode(from_json(name, json.loads(text))) == encode(message)
    schema = json_schema(message_types()[name])
    assert schema["title"] == name
    assert sorted(schema["properties"]) == sorted(json.loads(text))


def test_what_json_has_no_number_for_is_a_word() -> None:
    odd = np.array([math.nan, math.inf, -math.inf, 1.5], np.float32)
    ranges = Ranges(bearings_rad=odd, distances_m=odd, max_m=math.nan)
    told = to_json(ranges)
    assert told["bearings_rad"] == ["NaN", "Infinity", "-Infinity", 1.5]
    again = from_json("olympus/Ranges", told)
    assert isinstance(again, Ranges)
    np.testing.assert_array_equal(again.bearings_rad, odd)
    assert math.isnan(again.max_m)


@pytest.mark.parametrize(
    "change",
    [
        {"value": "x"},
        {"value": None},
        {"header": []},
        {"header": None},
        {"valid": 1},
        {"name": 3},
    ],
)
def test_other_json_is_refused(change: dict[str, Any]) -> None:
    told = to_json(Reading(name="a", value=1.0, unit="1")) | change
    with pytest.raises(MessageError):
        from_json("olympus/Reading", told)


def test_arrays_that_lie_are_refused() -> None:
    image = "olympus/Image"
    whole = to_json(decode(encode(any_instance(message_types()[image], Random(1)))))
    for data in (
        {"dtype": "u1", "shape": [2**40, 2**40, 3], "base64": ""},
        {"dtype": "u1", "shape": [1, 1, 3], "base64": "AAAA!"},
        {"dtype": "u1", "shape": [2, 1, 3], "base64": "AAAA"},
        {"dtype": "O", "shape": [1], "base64": "AAAA"},
        [1, 2, 3],
        {},
    ):
        with pytest.raises(MessageError):
            from_json(image, whole | {"data": data})


def test_an_unknown_type_and_no_object_are_refused() -> None:
    with pytest.raises(SchemaError, match="unknown message type"):
        from_json("olympus/Raeding", {})
    with pytest.raises(MessageError, match="is no such message"):
        from_json("olympus/Reading", [1])
