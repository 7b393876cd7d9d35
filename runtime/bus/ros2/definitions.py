"""Interface definitions: `.msg`, `.srv` and `.action` text, read into fields and constants.

Source: design.ros2.org, "Interface definition using .msg / .srv / .action files".
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass

from olympus.runtime.errors import MessageError

PRIMITIVES = (
    "bool", "byte", "char", "float32", "float64", "int8", "uint8", "int16", "uint16", "int32",
    "uint32", "int64", "uint64", "string", "wstring",
)  # fmt: skip
KINDS = ("msg", "srv", "action")
_TYPE_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_]*/(msg|srv|action)/[A-Z][A-Za-z0-9_]*\Z")
_FIELD = re.compile(
    r"(?P<type>[\w/]+(?:<=\d+)?(?:\[(?:<=)?\d*\])?)\s+(?P<name>[A-Za-z]\w*)(?P<rest>.*)\Z"
)
_TYPE = re.compile(
    r"(?P<base>[\w/]+?)(?:<=(?P<most>\d{1,9}))?(?P<array>\[(?P<bound><=)?(?P<count>\d{0,9})\])?\Z"
)
FILLER = "structure_needs_at_least_one_member"
"""The one field that ROS gives to a message without fields, since C has no empty struct."""

_OF_LITERALS = (ValueError, SyntaxError, MemoryError, RecursionError)
"""What Python's reader of literals raises; the last two over hostile ones."""

Value = bool | int | float | str


@dataclass(frozen=True, slots=True)
class FieldType:
    """The type of one field."""

    base: str
    """A primitive, or the full name of a message, `geometry_msgs/msg/Point`."""
    most_chars: int = 0
    """Longest string; 0 = any."""
    is_array: bool = False
    count: int = 0
    """Items of a fixed array, or the most of a bounded sequence; 0 = any number."""
    is_bounded: bool = False

    @property
    def is_primitive(self) -> bool:
        """Whether it is not a message of its own."""
        return self.base in PRIMITIVES

    @property
    def is_fixed(self) -> bool:
        """Whether it is an array of a fixed number of items."""
        return self.is_array and self.count > 0 and not self.is_bounded

    def __str__(self) -> str:
        base = self.base.replace("/msg/", "/")
        chars = f"<={self.most_chars}" if self.most_chars else ""
        count = f"{'<=' if self.is_bounded else ''}{self.count or ''}"
        return f"{base}{chars}[{count}]" if self.is_array else f"{base}{chars}"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message."""

    name: str
    type: FieldType
    default: Value | list[Value] | None = None
    """None: the type's own, 0, empty or false."""


@dataclass(frozen=True, slots=True)
class Constant:
    """A named value of a definition."""

    name: str
    type: str
    value: Value


@dataclass(frozen=True, slots=True)
class Definition:
    """One message: what travels as one piece of CDR."""

    name: str
    """Full name, such as `std_msgs/msg/String` or `std_srvs/srv/SetBool_Request`."""
    fields: tuple[Field, ...]
    constants: tuple[Constant, ...] = ()

    @property
    def text(self) -> str:
        """The definition as `.msg` text, without comments."""
        lines = [f"{c.type} {c.name}={_shown(c.value)}" for c in self.constants]
        for field in self.fields:
            default = "" if field.default is None else f" {_shown(field.default)}"
            lines.append(f"{field.type} {field.name}{default}")
        return "\n".join(lines)


def check_type_name(name: str) -> str:
    """Return the full name of a type; `std_msgs/String` becomes `std_msgs/msg/String`.

    Raises:
        MessageError: It is no name of a ROS type.
    """
    full = name.replace("/", "/msg/") if name.count("/") == 1 else name
    if not _TYPE_NAME.match(full):
        raise MessageError(
            f"{name!r:.80} is no ROS type; write it as 'sensor_msgs/msg/Image' or 'pkg/srv/Name'"
        )
    return full


def parse(name: str, text: str) -> list[Definition]:
    """Read a definition.

    Args:
        name: Full name of the type, `package/msg/Name`, `package/srv/Name`, `package/action/Name`.
        text: What the file says.

    Returns:
        One definition for a message; request and response for a service; goal, result and feedback
        for an action.

    Raises:
        MessageError: A line can't be understood; names it.
    """
    name = check_type_name(name)
    package, kind, _ = name.split("/")
    parts = re.split(r"(?m)^[ \t]*---[ \t]*$", text)
    suffixes = {"msg": [""], "srv": ["_Request", "_Response"]}.get(
        kind, ["_Goal", "_Result", "_Feedback"]
    )
    if len(parts) != len(suffixes):
        raise MessageError(f"{name}: {len(suffixes)} parts between lines '---', not {len(parts)}")
    return [
        _message(name + suffix, package, part) for suffix, part in zip(suffixes, parts, strict=True)
    ]


def _message(name: str, package: str, text: str) -> Definition:
    fields: list[Field] = []
    constants: list[Constant] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = _without_comment(raw).strip()
        if not line:
            continue
        found = _FIELD.match(line)
        if found is None:
            raise MessageError(f"{name}, line {number}: {line!r:.60} is no 'type name'")
        kind = _field_type(found["type"], package, f"{name}, line {number}")
        rest = found["rest"].strip()
        if rest.startswith("="):
            value = _literal(kind.base, rest[1:].strip(), name)
            constants.append(Constant(found["name"], found["type"], value))
        else:
            default = _default(kind, rest, name) if rest else None
            fields.append(Field(found["name"], kind, default))
    refuse_twins(name, [field.name for field in fields])
    return Definition(name, tuple(fields) or (Field(FILLER, FieldType("uint8")),), tuple(constants))


def refuse_twins(name: str, names: list[str]) -> None:
    """Refuse a message with two fields of one name.

    Raises:
        MessageError: There are such; names them.
    """
    twins = [one for one, times in Counter(names).items() if times > 1]
    if twins:
        raise MessageError(f"{name}: field {', '.join(sorted(twins))} stands there twice")


def _without_comment(line: str) -> str:
    quote = ""
    for index, letter in enumerate(line):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'" and index and (line[index - 1] == "=" or line[index - 1].isspace()):
            quote = letter
        elif letter == "#":
            return line[:index]
    return line


def _field_type(text: str, package: str, where: str) -> FieldType:
    found = _TYPE.match(text)
    if found is None:
        raise MessageError(f"{where}: {text!r:.60} is no type")
    base = found["base"]
    if base not in PRIMITIVES:
        base = {"Header": "std_msgs/msg/Header", "time": "builtin_interfaces/msg/Time"}.get(
            base, base if "/" in base else f"{package}/msg/{base}"
        )
        base = check_type_name(base)
    return FieldType(
        base,
        most_chars=int(found["most"] or 0),
        is_array=found["array"] is not None,
        count=int(found["count"] or 0),
        is_bounded=found["bound"] is not None,
    )


def _default(kind: FieldType, text: str, where: str) -> Value | list[Value]:
    if not kind.is_array:
        return _literal(kind.base, text, where)
    try:
        items = ast.literal_eval(re.sub(r"\b(true|false)\b", lambda m: m[0].title(), text))
    except _OF_LITERALS as error:
        raise MessageError(f"{where}: {text!r:.60} is no list of values") from error
    if not isinstance(items, list | tuple):
        raise MessageError(f"{where}: {text!r:.60} is no list of values")
    return [_literal(kind.base, str(item), where) for item in items]


def _literal(base: str, text: str, where: str) -> Value:
    try:
        if base == "bool":
            return {"true": True, "false": False, "1": True, "0": False}[text.lower()]
        if base in ("string", "wstring"):
            return str(ast.literal_eval(text)) if text[:1] in "\"'" and text else text
        return float(text) if base.startswith("float") else int(text, 0)
    except (KeyError, *_OF_LITERALS) as error:
        raise MessageError(f"{where}: {text!r:.60} is no {base}") from error


def _shown(value: Value | list[Value]) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_shown(item) for item in value)}]"
    if isinstance(value, bool):
        return str(value).lower()
    return '"' + value.replace('"', '\\"') + '"' if isinstance(value, str) else str(value)
