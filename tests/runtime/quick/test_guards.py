"""What C is told of a class, or finds changed under its hands, that it must not rely on."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from olympus.runtime.messages import Header, Hop, Message
from olympus.runtime.messages.parts import Parts
from olympus.runtime.messages.planned import planned
from olympus.runtime.messages.schema import field_kinds
from olympus.runtime.qos import Overflow, Tier
from olympus.runtime.quick import quick, why_not

from .shapes import (
    ODD,
    UNSET,
    Arrays,
    Checked,
    Level,
    Loose,
    Nest,
    Nested,
    Plain,
    Point,
    Row,
    reference,
)
from .test_plans import HEADER, check_packing, check_unpacking

pytestmark = pytest.mark.skipif(quick is None, reason=f"no C here: {why_not}")
ITEMS, RECORD, CHOICE, CALL = 5, 6, 8, 10
"""Of `_Op` in messages/planned.py."""
PARTS = [(cls, tuple(one.name for one in dataclasses.fields(cls))) for cls in (Header, Hop)]


@dataclass(slots=True)
class Two:
    """Two fields after the header."""

    header: object
    first: object
    second: object


@dataclass(slots=True)
class Stranger:
    """Has a slot too."""

    first: object


class Borrowing:
    """Has the slot of another class."""

    first = Stranger.__dict__["first"]


class Computing:
    """Has no slot."""

    @property
    def first(self) -> int:
        """Return a number."""
        return 1


def field(op: int, *, most: int = 0, cls: Any = None, given: Any = None, inner: Any = None) -> Any:
    """Return a field as `_field` of messages/planned.py does."""
    return op, most, cls, given, given, None, inner


def plan(cls: Any, names: Any, fields: Any, slow: Callable[..., Any] = print) -> Any:
    """Return a plan, or raise what it raises."""
    assert quick is not None
    (header, header_names), (hop, hop_names) = PARTS
    return quick.Plan(
        cls, names, fields, False, header, header_names, hop, hop_names, *[slow] * 5
    )  # fmt: skip


NUMBER = field(3)
POINT = Point(x=1.5, y=2)
NEST = Nest(at=POINT, path=(POINT,), level=Level.HIGH, deep=((1, 2), ()))
SOUND: list[Message] = [
    Plain(
        header=HEADER, flag=True, number=1, real=0.5, text="a", blob=b"b", tier=Tier.LOW,
        level=Level.HIGH, overflow=Overflow.LATEST, names=("a",), words={}, maybe=None,
    ),
    Nested(
        header=HEADER, nest=NEST, nests=(NEST,), checked=Checked(size=1), loose=Loose(size=1),
        points={}, maybe=None,
    ),
    Arrays(
        header=HEADER, free=np.zeros(3, np.float32), picture=np.zeros((2, 2, 3), np.uint8),
        flat=np.zeros((2, 2), np.int64), several=(np.ones(2, np.float32),), maybe=None, number=1,
    ),
]  # fmt: skip
PLACES = [
    (sound, number) for sound in SOUND for number in range(len(dataclasses.fields(sound)) - 1)
]
places = pytest.mark.parametrize(("sound", "number"), PLACES, ids=lambda one: str(one)[:12])


def refuse(*_: Any) -> Any:
    """Be what Python would have to do."""
    raise AssertionError("it was left to Python")


@pytest.mark.parametrize("sound", SOUND, ids=lambda one: type(one).__name__)
def test_what_is_sound_is_not_left_to_python(sound: Message) -> None:
    names, kinds = field_kinds(type(sound))
    slow = Parts(refuse, refuse, refuse, refuse, refuse)
    made = planned(type(sound), names, kinds, parts=PARTS, slow=slow)
    arrays: list[Any] = []
    row = made.pack(sound, arrays)
    assert row == reference(type(sound)).pack(sound, [])
    assert repr(made.unpack(row, arrays, "x", HEADER)) == repr(sound)


@places
def test_an_odd_value_in_any_field_is_packed_or_refused_alike(sound: Message, number: int) -> None:
    name = dataclasses.fields(sound)[number + 1].name
    for value in (*ODD, UNSET):
        changed = copy.copy(sound)
        if value is UNSET:
            object.__delattr__(changed, name)
        else:
            object.__setattr__(changed, name, value)
        check_packing(type(sound), changed)


@places
def test_an_odd_value_in_any_place_is_unpacked_or_refused_alike(
    sound: Message, number: int
) -> None:
    arrays: list[Any] = []
    row = reference(type(sound)).pack(sound, arrays)
    for value in ODD:
        check_unpacking(type(sound), [*row[:number], value, *row[number + 1 :]], arrays)
    check_unpacking(type(sound), row[:number], arrays)
    check_unpacking(type(sound), [*row, *row[:number]], arrays)


@pytest.mark.parametrize("value", ODD, ids=lambda one: f"{type(one).__name__} {one!r:.12}")
def test_an_odd_value_further_in_is_treated_alike(value: Any) -> None:
    plain, nested, picture = SOUND
    for name in Nest.__slots__:
        nest = copy.copy(NEST)
        object.__setattr__(nest, name, value)
        changed = copy.copy(nested)
        object.__setattr__(changed, "nest", nest)
        check_packing(Nested, changed)
    arrays: list[Any] = []
    row = reference(Nested).pack(nested, [])
    for place in range(4):
        inner = [*row[0][:place], value, *row[0][place + 1 :]]
        check_unpacking(Nested, [inner, *row[1:]], [])
    row = reference(Arrays).pack(picture, arrays)
    for place in range(len(arrays)):
        check_unpacking(Arrays, row, [*arrays[:place], value, *arrays[place + 1 :]])
    row = reference(Plain).pack(plain, [])
    check_unpacking(Plain, [*row[:8], [value], *row[9:]], [])


@pytest.mark.parametrize(
    ("cls", "names", "fields"),
    [
        (5, ("first",), (NUMBER,)),
        (Stranger, ["first"], (NUMBER,)),
        (Stranger, ("first",), [NUMBER]),
        (Stranger, ("first",), ()),
        (Stranger, ("first",), (NUMBER, NUMBER)),
        (Stranger, ("first",), (5,)),
        (Stranger, ("first",), (field(-1),)),
        (Stranger, ("first",), (field(11),)),
        (Stranger, ("first",), (field(CHOICE, cls=Stranger),)),
        (Stranger, ("first",), (field(CHOICE, cls=Stranger, given=[]),)),
        (Stranger, ("first",), (field(CHOICE, cls=5, given={}),)),
        (Stranger, ("first",), (field(RECORD, cls=5),)),
        (Stranger, ("first",), (field(ITEMS, inner=7),)),
        (Borrowing, ("first",), (NUMBER,)),
        (Computing, ("first",), (NUMBER,)),
        (slice, ("start",), (NUMBER,)),  # whose empty places are of another kind
    ],
)
def test_what_is_no_shape_of_a_class_is_refused(cls: Any, names: Any, fields: Any) -> None:
    assert plan(Stranger, ("first",), (NUMBER,)) is not None
    with pytest.raises(TypeError):
        plan(cls, names, fields)


def test_a_choice_of_one_dictionary_is_refused() -> None:
    tables: list[tuple[Any, Any]] = [({}, None), (None, {})]
    for out, into in tables:
        given = CHOICE, 0, Stranger, out, into, None, None
        with pytest.raises(TypeError):
            plan(Stranger, ("first",), (given,))


def test_a_row_that_is_emptied_while_it_is_read_is_for_python() -> None:
    rows: list[Any] = []

    def empty(value: Any, *_: Any) -> Any:
        rows[-1].clear()
        return value

    one = field(CALL, given=empty)
    kept = field(CALL, given=lambda value, *_: value)
    made = plan(Two, ("header", "first", "second"), (kept, one, one), lambda *_: "python")
    rows.append([1.5, 2.5])
    assert made.unpack(rows[-1], [], "x", None) == "python"
    items = field(ITEMS, most=9, inner=one)
    made = plan(Two, ("header", "first", "second"), (kept, items, kept), lambda *_: "python")
    rows.append([1.5, 2.5, 3.5])
    assert made.unpack([rows[-1], 1], [], "x", None) == "python"


class Near(Point):
    """Is a point, and more."""


def test_what_derives_from_a_record_or_a_row_is_treated_alike() -> None:
    nest, changed = copy.copy(NEST), copy.copy(SOUND[1])
    object.__setattr__(nest, "at", Near(x=1.0, y=2))
    object.__setattr__(changed, "nest", nest)
    check_packing(Nested, changed)
    row = reference(Nested).pack(SOUND[1], [])
    check_unpacking(Nested, [Row(row[0]), *row[1:]], [])
    check_unpacking(Nested, Row(row), [])
