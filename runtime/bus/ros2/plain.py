"""ROS values as people write them: mappings, lists, numbers, text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.bus.ros2.definitions import Field
from olympus.runtime.bus.ros2.record import DTYPES, Record, attribute
from olympus.runtime.errors import MessageError, did_you_mean


def from_plain(codecs: Codecs, type_: str, given: Mapping[str, Any]) -> Any:
    """Return a ROS value of what was written; fields that are left out get their defaults.

    Args:
        codecs: Knows the type.
        type_: Name of the type.
        given: `{"linear": {"x": 0.2}}`.

    Raises:
        MessageError: A field is unknown, or a value doesn't fit it.
    """
    codec = codecs.get(type_)
    if not isinstance(given, Mapping):
        raise MessageError(f"{codec.name}: a mapping such as '{{data: hello}}', not {given!r:.40}")
    fields = {field.name: field for field in codec.definition.fields}
    for name in given:
        if name not in fields:
            raise MessageError(f"{codec.name} has no field {name!r}; {did_you_mean(name, fields)}")
    made = codec.cls(**{attribute(n): _value(codecs, fields[n], v) for n, v in given.items()})
    codec.encode(made)  # says what does not fit, with the field's type
    return made


def _value(codecs: Codecs, field: Field, given: Any) -> Any:
    kind = field.type
    if kind.base in DTYPES and not kind.is_array:
        return float(given) if kind.base.startswith("float") and _is_number(given) else given
    if kind.is_primitive:
        return given
    if kind.is_array:
        return [from_plain(codecs, kind.base, one) for one in given]
    return from_plain(codecs, kind.base, given)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def shown(value: Any, *, longest: int = 32) -> Any:
    """Return a ROS value for people: dicts and lists, long arrays cut.

    Args:
        value: A decoded value.
        longest: Items of an array before it is cut; 0 for never.
    """
    if isinstance(value, Record):
        return {name: shown(getattr(value, name), longest=longest) for name in value.__slots__}
    if isinstance(value, list | tuple) or hasattr(value, "tolist"):
        count = len(value)
        cut = value[:longest] if longest and count > longest else value
        items = cut.tolist() if hasattr(cut, "tolist") else cut
        rest = [f"… {count - longest} more"] if longest and count > longest else []
        return [shown(one, longest=longest) for one in items] + rest
    return value
