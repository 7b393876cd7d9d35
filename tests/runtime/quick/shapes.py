"""Message classes of every shape, and values for them: such as fit, and such as don't."""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from olympus.runtime.errors import MessageError
from olympus.runtime.messages import Message, message, message_types
from olympus.runtime.messages.parts import Parts, python_parts
from olympus.runtime.messages.schema import MAX_ITEMS, Array
from olympus.runtime.qos import Overflow, Tier

REGISTERED = tuple(message_types().values())


class Level(enum.Enum):
    """Values of three types."""

    LOW = 1.5
    HIGH = "high"
    TOP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Two numbers and a word."""

    x: float
    y: int
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """Refuses what is negative."""

    size: int

    def __post_init__(self) -> None:
        if self.size < 0:
            raise MessageError(f"size={self.size} is negative")


@dataclass(frozen=True, kw_only=True)
class Loose:
    """Has no slots."""

    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Nest:
    """Records in records."""

    at: Point
    path: tuple[Point, ...]
    level: Level
    deep: tuple[tuple[int, ...], ...]


@message("quick/Nested")
class Nested(Message):
    """Records, one within the other, and rows of them."""

    nest: Nest
    nests: tuple[Nest, ...]
    checked: Checked
    loose: Loose
    points: dict[str, Point]
    maybe: Point | None


@message("quick/Plain")
class Plain(Message):
    """One field of each plain kind."""

    flag: bool
    number: int
    real: float
    text: str
    blob: bytes
    tier: Tier
    overflow: Overflow
    level: Level
    names: tuple[str, ...]
    words: dict[str, str]
    maybe: int | None
    spare: float | None = None


@message("quick/Arrays")
class Arrays(Message):
    """Arrays, free and of given lengths."""

    free: Annotated[NDArray[np.float32], Array("f4", (None,))]
    picture: Annotated[NDArray[np.uint8], Array("u1", (None, None, 3))]
    flat: Annotated[NDArray[np.int64], Array("i8", (None, None))]
    several: tuple[Annotated[NDArray[np.float32], Array("f4", (None,))], ...]
    maybe: Annotated[NDArray[np.float32], Array("f4", (None,))] | None
    number: int


@message("quick/Refusing")
class Refusing(Message):
    """Refuses some of what its fields allow."""

    number: int
    text: str

    def __post_init__(self) -> None:
        if self.number < 0:
            raise MessageError(f"number={self.number} is negative")
        if self.text.startswith("!"):
            raise RuntimeError(self.text)


@message("quick/Empty")
class Bare(Message):
    """Nothing but a header."""


MADE_UP = (Nested, Plain, Arrays, Refusing, Bare)


class Text(str):
    """A text that is no `str` itself."""

    __slots__ = ()


class Number(int):
    """A number that is no `int` itself."""


class Row(list[Any]):
    """A list that is no `list` itself."""


class Blob(bytes):
    """Bytes that are no `bytes` themselves."""


class Names(tuple[Any, ...]):
    """A tuple that is no `tuple` itself."""


class Words(dict[str, Any]):
    """A map that is no `dict` itself."""


class Picture(np.ndarray[Any, Any]):
    """An array that is no `ndarray` itself."""


ODD: tuple[Any, ...] = (
    None, True, 0, 1, -1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 2**2000, Number(1),
    1.5, float("nan"), -0.0, float("inf"), np.float64(1.5), np.float32(1.5), np.int64(1), 1j,
    "", "high", "\ud800", "x" * 70_000, Text("a"), Text(""), b"", b"a", bytearray(b"a"), (), [], {},
    Row([1]), Row(), Blob(b"a"), Names(("a",)), Names(), Words(), Words(a="b"),
    ("a", 1), [1.5, 2, "a"], {"a": 1}, {1: "a"}, {"": None}, {Text("a"): 1}, {"a"},
    Level.LOW, Level.TOP, Tier.LOW, 3, Overflow.LATEST, "latest", 1.5, 7, "none of them",
    Point(x=1.0, y=1), Point(x=1, y=2), Point(x=True, y=Number(2)), Checked(size=1), Loose(size=1),
    ("a",) * MAX_ITEMS, ("a",) * (MAX_ITEMS + 1), [0] * (MAX_ITEMS + 1), object(), int,
    np.zeros(3, np.float32), np.zeros(3, ">f4"), np.zeros(3), np.zeros((2, 2, 3), np.uint8),
    np.zeros((2, 3, 2), np.uint8), np.zeros((2, 2), np.int64), np.zeros((0, 0), np.int64),
    np.zeros(3, np.float32).view(Picture), np.array(1.0, np.float32), np.zeros(4, np.float32)[::2],
)  # fmt: skip
"""What is right in some place and wrong in others."""
odd = st.sampled_from(ODD)
UNSET: Any = object()
"""A field that was never given a value."""
_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    bool: st.booleans(),
    int: st.integers(-(2**63), 2**63 - 1),
    float: st.floats(),
    str: st.text(max_size=6),
    bytes: st.binary(max_size=6),
}


_references: dict[type[Message], Parts] = {}
_instances: dict[Any, st.SearchStrategy[Any]] = {}


def reference(cls: type[Message]) -> Parts:
    """Return the functions of a message class in Python, made once."""
    if cls not in _references:
        _references[cls] = python_parts(cls)
    return _references[cls]


def bare(cls: type[Any], values: dict[str, Any]) -> Any:
    """Return an instance that holds just these values, unchecked."""
    made = object.__new__(cls)
    for name, value in values.items():
        if value is not UNSET:
            object.__setattr__(made, name, value)
    return made


def instances(
    cls: type[Any], *, damaged: bool = False, without: tuple[str, ...] = ()
) -> st.SearchStrategy[Any]:
    """Return instances of a dataclass whose fields fit, or maybe not if they are damaged."""
    asked = cls, damaged, without
    if asked not in _instances:
        _instances[asked] = _new_instances(cls, damaged=damaged, without=without)
    return _instances[asked]


def _new_instances(
    cls: type[Any], *, damaged: bool, without: tuple[str, ...]
) -> st.SearchStrategy[Any]:
    hints = get_type_hints(cls, include_extras=True)
    names = [one.name for one in dataclasses.fields(cls) if one.name not in without]
    fields = {name: values(hints[name], damaged=damaged) for name in names}
    if damaged:
        fields = {name: _mostly(field, st.just(UNSET), 40) for name, field in fields.items()}
    return st.fixed_dictionaries(fields).map(lambda given: bare(cls, given))


def values(hint: Any, *, damaged: bool) -> st.SearchStrategy[Any]:
    """Return values of a field."""
    fitting = _fitting(hint, lambda one: values(one, damaged=damaged), damaged=damaged)
    return _mostly(fitting, odd, 9) if damaged else fitting


def _mostly(
    usual: st.SearchStrategy[Any], rare: st.SearchStrategy[Any], times: int
) -> st.SearchStrategy[Any]:
    return st.integers(0, times).flatmap(lambda n: rare if n == times else usual)


def _fitting(
    hint: Any, inner: Callable[[Any], st.SearchStrategy[Any]], *, damaged: bool
) -> st.SearchStrategy[Any]:
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _arrays(next(one for one in args if isinstance(one, Array)))
    if origin in (typing.Union, types.UnionType):
        return st.none() | inner(next(one for one in args if one is not types.NoneType))
    if origin is tuple:
        return st.lists(inner(args[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(st.text(max_size=3), inner(args[1]), max_size=2)
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    if issubclass(hint, enum.Enum):
        return st.sampled_from(list(hint))
    return instances(hint, damaged=damaged)


def _arrays(spec: Array) -> st.SearchStrategy[Any]:
    lengths = [st.integers(0, 3) if axis is None else st.just(axis) for axis in spec.shape]
    return st.tuples(*lengths).map(lambda shape: np.ones(shape, spec.dtype))


def canonical(value: Any) -> Any:
    """Return what two equal values have in common, down to types; arrays are themselves."""
    kind = type(value)
    if kind is str or kind is int:
        return kind, value
    if isinstance(value, np.ndarray):
        return id(value)
    if isinstance(value, list | tuple):
        return kind, [canonical(one) for one in value]
    if isinstance(value, dict):
        return kind, [(canonical(key), canonical(one)) for key, one in value.items()]
    if dataclasses.is_dataclass(kind):
        names = [one.name for one in dataclasses.fields(kind)]
        return kind, [canonical(getattr(value, name, UNSET)) for name in names]
    return kind, repr(value)


def outcome(act: Callable[..., Any], *given: Any) -> Any:
    """Return what a call gives, or what it raises, in a form that can be compared."""
    try:
        return canonical(act(*given))
    except Exception as error:  # noqa: BLE001  whichever it is, the other side must raise it too
        return type(error), str(error), type(error.__cause__)
