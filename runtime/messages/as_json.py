"""Messages as JSON that names its fields, and back without a loss.

What JSON has no word for: bytes are base64; an array is a list of numbers if its type has one axis
of floats or of a fixed length, and else `{"dtype", "shape", "base64"}`; NaN and the infinities are
`"NaN"`, `"Infinity"`, `"-Infinity"`. A float is written so that it is read as the same float.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import enum
import math
import types
import typing
from functools import cache
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import numpy as np

from olympus.runtime.errors import MessageError, did_you_mean
from olympus.runtime.messages.base import Message, schema_by_class, schema_by_name
from olympus.runtime.messages.codec import checked_array
from olympus.runtime.messages.schema import AnyArray, Array, field_kinds

_ODD = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_NAMES = {bool: "boolean", int: "integer", str: "string", float: "number"}


def to_json(message: Message) -> dict[str, Any]:
    """Return a message as what `json.dumps` takes, its header included.

    Raises:
        MessageError: A field holds what its type does not allow.
    """
    arrays: list[AnyArray] = []
    schema = schema_by_class(type(message))
    made: dict[str, Any] = _said(type(message), schema.kind.pack(message, arrays), arrays)
    return made


def from_json(name: str, value: Any) -> Message:
    """Return the message that `to_json` made a value of.

    Args:
        name: The type's, as it travels: `olympus/Reading`.
        value: What `json.loads` gave.

    Raises:
        MessageError: It is no such message.
        SchemaError: The type is not known here.
    """
    schema, arrays = schema_by_name(name), list[AnyArray]()
    try:
        packed = _heard(schema.cls, value, arrays)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise MessageError(f"{name}: this JSON is no such message: {error!r:.120}") from error
    made = schema.kind.unpack(packed, arrays, name)
    if not isinstance(made, Message):
        raise MessageError(f"{name} is no message")
    return made


def from_fields(name: str, fields: dict[str, Any]) -> Message:
    """Return a message of some fields that a person typed; the others have their defaults.

    Args:
        name: The type's, as it travels: `olympus/Reading`.
        fields: What `json.loads` gave for each.

    Raises:
        MessageError: A field is unknown or missing, or its value does not fit.
        SchemaError: The type is not known here.
    """
    cls = schema_by_name(name).cls
    known = dict(zip(*field_kinds(cls), strict=True))
    for field in fields:
        if field not in known:
            raise MessageError(f"{name} has no field {field!r}; {did_you_mean(field, known)}")
    missing = [f.name for f in dataclasses.fields(cls) if f.name not in fields and _is_needed(f)]
    if missing:
        needed = ", ".join(f"{one} ({known[one].text})" for one in missing)
        raise MessageError(f"{name} needs {needed} too")
    hints, values = get_type_hints(cls, include_extras=True), {}
    for field, value in fields.items():
        arrays, where = list[AnyArray](), f"{name}.{field}"
        try:
            packed = _heard(hints[field], value, arrays)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            kind = known[field].text
            raise MessageError(f"{where}: {value!r:.60} where {kind} is needed") from error
        values[field] = known[field].unpack(packed, arrays, where)
    made = cls(**values)
    if not isinstance(made, Message):
        raise MessageError(f"{name} is no message")
    return made


def _is_needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is field.default_factory is dataclasses.MISSING


def json_schema(cls: type[Any]) -> dict[str, Any]:
    """Return the JSON schema of a message class, or of a dataclass in one."""
    hints = get_type_hints(cls, include_extras=True)
    names = [field.name for field in dataclasses.fields(cls)]
    return {
        "title": schema_by_class(cls).name if issubclass(cls, Message) else cls.__name__,
        "type": "object",
        "properties": {name: _described(hints[name]) for name in names},
        "required": names,
    }


def _described(hint: Any) -> dict[str, Any]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _described_array(_spec(args))
    if _is_optional(origin):
        return _described(_inner(args))  # not all readers of schemas know `oneOf`
    if origin is tuple:
        return {"type": "array", "items": _described(args[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _described(args[1])}
    if hint is bytes:
        return {"type": "string", "contentEncoding": "base64"}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return json_schema(hint)
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return {"type": "string" if issubclass(hint, str) else "integer"}
    return {"type": _NAMES[hint]}


def _described_array(spec: Array) -> dict[str, Any]:
    if _is_list(spec):
        kind = "number" if np.dtype(spec.dtype).kind == "f" else "integer"
        return {"type": "array", "items": {"type": kind}}
    text, whole = {"type": "string"}, {"type": "integer"}
    return {
        "type": "object",
        "properties": {
            "dtype": text,
            "shape": {"type": "array", "items": whole},
            "base64": {**text, "contentEncoding": "base64"},
        },
    }


def _said(hint: Any, packed: Any, arrays: list[AnyArray]) -> Any:
    """Turn a packed value, which is known to be right, into JSON's words."""
    origin, args = get_origin(hint), get_args(hint)
    if packed is None:
        return None
    if origin is Annotated:
        return _said_array(_spec(args), arrays[packed])
    if _is_optional(origin):
        return _said(_inner(args), packed, arrays)
    if origin is tuple:
        return [_said(args[0], item, arrays) for item in packed]
    if origin is dict:
        return {key: _said(args[1], item, arrays) for key, item in packed.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        fields = zip(_fields(hint), packed, strict=True)
        return {name: _said(kind, item, arrays) for (name, kind), item in fields}
    if hint is bytes:
        return base64.b64encode(packed).decode()
    return _number(packed) if hint is float else packed


def _heard(hint: Any, value: Any, arrays: list[AnyArray]) -> Any:
    """Turn JSON's words into a packed value, which is still to be checked."""
    origin, args = get_origin(hint), get_args(hint)
    if value is None:
        return None
    if origin is Annotated:
        arrays.append(_heard_array(_spec(args), value))
        return len(arrays) - 1
    if _is_optional(origin):
        return _heard(_inner(args), value, arrays)
    if origin is tuple:
        return [_heard(args[0], item, arrays) for item in value]
    if origin is dict:
        return {key: _heard(args[1], item, arrays) for key, item in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return [_heard(kind, value[name], arrays) for name, kind in _fields(hint)]
    if hint is bytes:
        return base64.b64decode(value, validate=True)
    return _ODD.get(value, value) if hint is float and isinstance(value, str) else value


def _said_array(spec: Array, array: AnyArray) -> Any:
    if _is_list(spec):
        return [_number(item) for item in array.tolist()]
    raw = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "base64": raw}


def _heard_array(spec: Array, value: Any) -> AnyArray:
    if _is_list(spec):
        return np.array([_ODD.get(v, v) if type(v) is str else v for v in value], spec.dtype)
    dtype, shape = checked_array([value["dtype"], value["shape"]], 0)
    try:
        raw = base64.b64decode(value["base64"], validate=True)
    except binascii.Error as error:
        raise MessageError(f"an array that is no base64: {error}") from error
    array = np.frombuffer(raw, dtype).reshape(shape)
    array.flags.writeable = False
    return array


def _is_list(spec: Array) -> bool:
    is_short = spec.shape[0] is not None or np.dtype(spec.dtype).kind == "f"
    return len(spec.shape) == 1 and is_short


def _number(value: Any) -> Any:
    if type(value) is not float or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


@cache
def _fields(cls: type[Any]) -> list[tuple[str, Any]]:
    hints = get_type_hints(cls, include_extras=True)
    return [(field.name, hints[field.name]) for field in dataclasses.fields(cls)]


def _spec(args: tuple[Any, ...]) -> Array:
    return next(a for a in args if isinstance(a, Array))


def _is_optional(origin: Any) -> bool:
    return origin in (typing.Union, types.UnionType)


def _inner(args: tuple[Any, ...]) -> Any:
    return next(a for a in args if a is not types.NoneType)
