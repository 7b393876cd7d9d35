"""Values of ROS messages: one slotted class per message type, made from its definition."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from typing import Any

import numpy as np

from olympus.runtime.bus.ros2.definitions import Definition, Field, FieldType

DTYPES = {
    "bool": "?",
    "byte": "u1",
    "char": "u1",
    "uint8": "u1",
    "int8": "i1",
    "uint16": "<u2",
    "int16": "<i2",
    "uint32": "<u4",
    "int32": "<i4",
    "uint64": "<u8",
    "int64": "<i8",
    "float32": "<f4",
    "float64": "<f8",
}
"""How arrays of a primitive are held: numpy arrays of these types."""


class Record:
    """Base of all message values; fields are attributes, arrays of numbers are numpy arrays."""

    __slots__: tuple[str, ...] = ()
    __ros_type__ = ""
    """Full name of the ROS type."""

    def __init__(self, **fields: Any) -> None:
        """Take fields by name; those left out get their defaults. Each class makes its own."""

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(
            _is_equal(getattr(self, name), getattr(other, name)) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]  # its fields can change

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({fields})"


def as_plain(value: object) -> Any:
    """Return a value as what JSON can hold: dicts, lists, numbers, text."""
    if isinstance(value, Record):
        return {name: as_plain(getattr(value, name)) for name in value.__slots__}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, list | tuple):
        return [as_plain(item) for item in value]
    return value


def attribute(name: str) -> str:
    """Return the name of a field as an attribute; a word of Python gets a `_` behind it."""
    return f"{name}_" if keyword.iskeyword(name) or name == "self" else name


def record_class(definition: Definition, classes: Mapping[str, type[Record]]) -> type[Record]:
    """Make the class of a message.

    Args:
        definition: The message.
        classes: The classes of the messages that it holds, by full name.
    """
    names = [attribute(field.name) for field in definition.fields]
    scope: dict[str, Any] = {"np": np, "Record": Record}
    parameters, body = ["self"], []
    for index, (name, field) in enumerate(zip(names, definition.fields, strict=True)):
        parameters.append(f"{name}=None")
        scope[f"new{index}"] = _maker(field, classes)
        body.append(f"        self.{name} = new{index}() if {name} is None else {name}")
    title = attribute(definition.name.rpartition("/")[2])
    constants = [(attribute(one.name), one.value) for one in definition.constants]
    source = "\n".join(
        [
            f"class {title}(Record):",
            f"    __slots__ = {tuple(names)!r}",
            f"    __ros_type__ = {definition.name!r}",
            f"    def __init__({', '.join(parameters)}):",
            *body,
            *(f"    {name} = {value!r}" for name, value in constants if name not in names),
        ]
    )
    # The definition was checked: its names are plain identifiers, nothing of it is run.
    exec(source, scope)
    made: type[Record] = scope[title]
    return made


def _maker(field: Field, classes: Mapping[str, type[Record]]) -> Any:
    kind, default = field.type, field.default
    if kind.is_array:
        return lambda: _new_array(kind, default, classes)
    if not kind.is_primitive:
        return classes[kind.base]
    empty = "" if kind.base in ("string", "wstring") else False if kind.base == "bool" else 0
    value = empty if default is None else default
    value = float(value) if kind.base.startswith("float") and not isinstance(value, list) else value
    return lambda: value


def _new_array(kind: FieldType, default: object, classes: Mapping[str, type[Record]]) -> Any:
    count = kind.count if kind.is_fixed else 0
    if kind.base in DTYPES:
        numbers = np.zeros(count, DTYPES[kind.base])
        return numbers if default is None else np.array(default, DTYPES[kind.base])
    if isinstance(default, list):
        return list(default)
    return [classes[kind.base]() if kind.base in classes else "" for _ in range(count)]


def _is_equal(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return bool(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=_is_real(a)))
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(_is_equal(x, y) for x, y in zip(a, b, strict=True))
    return bool(a == b or (a != a and b != b))


def _is_real(array: object) -> bool:
    return np.asarray(array).dtype.kind == "f"
