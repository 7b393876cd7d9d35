"""Our own types without a standard counterpart: their `.msg` text, and both directions.

The text is derived from the message class: a number is an `int64` or `float64`, a tuple a sequence,
a dict a sequence of pairs, a dataclass within a message of its own in `olympus_msgs`, an array a
sequence of its elements, with `NAME_shape` beside it when it has more than one axis.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import numpy as np

from olympus.runtime.bus.ros2.mapping.context import Context
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import Array, Header, Message, schema_by_class

PACKAGE = "olympus_msgs"
COUNT = f"{PACKAGE}/msg/Count"
COUNT_TEXT = "string key\nint64 value"
_PLAIN = {bool: "bool", int: "int64", float: "float64", str: "string"}
_ELEMENTS = {"u1": "uint8", "i1": "int8", "u2": "uint16", "i2": "int16", "u4": "uint32",
             "i4": "int32", "u8": "uint64", "i8": "int64", "f4": "float32", "f8": "float64",
             "b1": "bool"}  # fmt: skip
To = Callable[[Any, Context], Any]
From = Callable[[Any, Context], Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """How one field travels: lines of `.msg` text, and both directions."""

    type: str
    to_ros: To
    from_ros: From
    shape: tuple[int | None, ...] | None = None
    """Of an array with several axes."""


def own_type(cls: type[Any]) -> str:
    """Return the ROS type of one of our classes: `olympus_msgs/msg/Reading`."""
    name = schema_by_class(cls).name if issubclass(cls, Message) else cls.__name__
    return f"{PACKAGE}/msg/{name.rpartition('/')[2]}"


def definitions(cls: type[Any]) -> Iterator[tuple[str, str]]:
    """Yield the type names and `.msg` texts of a class and of the dataclasses in it, inner first.

    Raises:
        MessageError: A field is of a kind that ROS has no word for.
    """
    lines = []
    for name, part in parts_of(cls):
        if name == "header" and issubclass(cls, Message):
            lines.append("std_msgs/Header header")
            continue
        lines.append(f"{part.type} {name}")
        if part.shape is not None:
            lines.append(f"uint32[] {name}_shape")
    for inner in _inner(cls):
        yield from definitions(inner)
    if any("olympus_msgs/Count" in line for line in lines):
        yield COUNT, COUNT_TEXT
    yield own_type(cls), "\n".join(lines)


def parts_of(cls: type[Any]) -> Iterator[tuple[str, Part]]:
    """Yield the fields of a class and how they travel."""
    hints = get_type_hints(cls, include_extras=True)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        part = Part("std_msgs/Header", _same, _same) if hint is Header else _part(hint)
        yield field.name, part


def to_own(message: Any, ctx: Context) -> Any:
    """Return one of our messages, or a dataclass in one, as its ROS counterpart."""
    fields: dict[str, Any] = {}
    for name, part in parts_of(type(message)):
        value = getattr(message, name)
        if name == "header" and isinstance(message, Message):
            fields["header"] = ctx.header(message, getattr(message, "frame_id", ""))
            continue
        fields[name] = part.to_ros(value, ctx)
        if part.shape is not None:
            fields[f"{name}_shape"] = list(value.shape)
    return ctx.new(own_type(type(message)), **fields)


def from_own(value: Any, cls: type[Any], ctx: Context) -> Any:
    """Return a ROS value as one of our messages, or a dataclass in one.

    Raises:
        MessageError: A field holds what our class does not allow.
    """
    fields: dict[str, Any] = {}
    for name, part in parts_of(cls):
        given = getattr(value, name)
        if name == "header" and issubclass(cls, Message):
            fields["header"] = ctx.given(given)
        elif part.shape is not None:
            fields[name] = _shaped(given, getattr(value, f"{name}_shape"), part.shape, name)
        else:
            fields[name] = part.from_ros(given, ctx)
    try:
        return cls(**fields)
    except ValueError as error:
        raise MessageError(f"{cls.__name__}: {error}") from error


def _inner(cls: type[Any]) -> Iterator[type[Any]]:
    """Yield the dataclasses that are fields of a class, or items of them."""
    hints = get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        for one in (hint, *get_args(hint)):
            if isinstance(one, type) and dataclasses.is_dataclass(one) and one is not Header:
                yield one


def _part(hint: Any) -> Part:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _array(next(a for a in args if isinstance(a, Array)))
    if origin in (typing.Union, types.UnionType):
        inner = _part(next(a for a in args if a is not types.NoneType))
        return Part(
            f"{inner.type}[<=1]",
            lambda v, c: [] if v is None else [inner.to_ros(v, c)],
            lambda v, c: inner.from_ros(v[0], c) if len(v) else None,
        )
    if origin is tuple:
        inner = _part(args[0])
        return Part(
            f"{inner.type}[]",
            lambda v, c: [inner.to_ros(item, c) for item in v],
            lambda v, c: tuple(inner.from_ros(item, c) for item in v),
        )
    if origin is dict:
        return _pairs(args[1])
    return _single(hint)


def _single(hint: Any) -> Part:
    if hint in _PLAIN:
        return Part(_PLAIN[hint], _same, lambda v, c: hint(v))
    if hint is bytes:
        return Part("uint8[]", _same, lambda v, c: v.tobytes())
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        base = "string" if issubclass(hint, str) else "int64"
        return Part(base, lambda v, c: v.value, lambda v, c: hint(v))
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        name = own_type(hint).replace("/msg/", "/")
        return Part(name, to_own, lambda v, c: from_own(v, hint, c))
    raise MessageError(f"{hint!r} has no word in ROS; leave the field out or map the type by hand")


def _array(spec: Array) -> Part:
    element = _ELEMENTS[np.dtype(spec.dtype).str.lstrip("<|=")]
    shape = spec.shape if len(spec.shape) > 1 else None
    return Part(f"{element}[]", _same, _same, shape)


def _shaped(given: Any, shape: Any, wanted: tuple[int | None, ...], name: str) -> Any:
    sizes = [int(n) for n in shape]
    fits = len(sizes) == len(wanted) and all(
        want is None or want == have for want, have in zip(wanted, sizes, strict=True)
    )
    if not fits or int(np.prod(sizes, dtype=object)) != given.size:
        raise MessageError(f"{name}: {given.size} elements are no array of shape {sizes}")
    return given.reshape(sizes)


def _pairs(value: Any) -> Part:
    is_text = value is str
    if not is_text and value is not int:
        raise MessageError(f"a dict of {value!r} has no word in ROS")
    type_ = "diagnostic_msgs/msg/KeyValue" if is_text else COUNT

    def to_ros(given: dict[str, Any], ctx: Context) -> list[Any]:
        return [ctx.new(type_, key=key, value=item) for key, item in given.items()]

    return Part(
        f"{type_.replace('/msg/', '/')}[]",
        to_ros,
        lambda given, _c: {one.key: one.value for one in given},
    )


def _same(value: Any, _ctx: Context) -> Any:
    return value
