"""What is done with a message class in C: the same as in Python, also with what is damaged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olympus.runtime.messages import Header, Hop, Message, message
from olympus.runtime.messages.parts import Parts, parts_of
from olympus.runtime.qos import Overflow, Tier
from olympus.runtime.quick import quick, why_not

from .shapes import (
    MADE_UP,
    REGISTERED,
    Level,
    Plain,
    canonical,
    instances,
    odd,
    outcome,
    reference,
)

pytestmark = pytest.mark.skipif(quick is None, reason=f"no C here: {why_not}")
CLASSES = [*MADE_UP, *REGISTERED]
some = settings(max_examples=12)
HEADER = Header(seq=3, stamp=4, source="n", trace=(Hop("t", 3, 4, 5),))
each = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
NAMES = ("quick/Type", "topic", 7, 8, 9, 0, Tier.HIGH, "node")
"""What `received` is told: the type's name, topic, seq, stamp, sent, expires, tier, source."""


tries: list[int] = []


@message("quick/Ending")
class Ending(Message):
    """Ends the program when it is made."""

    number: int

    def __post_init__(self) -> None:
        tries.append(self.number)
        raise KeyboardInterrupt


def both(cls: type[Message]) -> tuple[Parts, Parts]:
    """Return the functions in C and those in Python."""
    made = parts_of(cls)
    assert made.plan is not None
    return made, reference(cls)


def packed(parts: Parts, value: Any) -> Any:
    """Return what comes of packing, and the arrays afterwards; some were there before."""
    arrays = [ODD_ARRAY]
    return outcome(parts.pack, value, arrays), canonical(arrays)


ODD_ARRAY = np.zeros(1, np.float32)


def check_packing(cls: type[Message], value: Any) -> None:
    ours, theirs = both(cls)
    assert packed(ours, value) == packed(theirs, value)
    changed = outcome(theirs.with_header, value, HEADER)
    assert outcome(ours.with_header, value, HEADER) == changed
    published = value, "topic", 7, 8, Tier.LOW, "node"
    assert outcome(ours.published, *published) == outcome(theirs.published, *published)


def check_unpacking(cls: type[Message], items: Any, arrays: Any) -> None:
    ours, theirs = both(cls)
    for name, more in (("unpack", (NAMES[0], HEADER)), ("received", NAMES)):
        act, reference = getattr(ours, name), getattr(theirs, name)
        mine, other = list(arrays), list(arrays)
        assert outcome(act, items, mine, *more) == outcome(reference, items, other, *more)
        assert canonical(mine) == canonical(other)


@each
@some
@given(data=st.data())
def test_what_fits_is_packed_and_unpacked_alike(cls: type[Message], data: Any) -> None:
    value = data.draw(instances(cls))
    check_packing(cls, value)
    arrays: list[Any] = []
    items = reference(cls).pack(value, arrays)
    check_unpacking(cls, items, arrays)


@each
@some
@given(data=st.data())
def test_what_does_not_fit_is_refused_alike(cls: type[Message], data: Any) -> None:
    check_packing(cls, data.draw(instances(cls, damaged=True)))


@each
@some
@given(data=st.data())
def test_what_came_damaged_is_refused_alike(cls: type[Message], data: Any) -> None:
    arrays: list[Any] = []
    items = reference(cls).pack(data.draw(instances(cls)), arrays)
    for _ in range(data.draw(st.integers(1, 2))):
        items = damaged(data, items)
    for index in range(len(arrays)):
        if data.draw(st.integers(0, 4)) == 0:
            arrays[index] = data.draw(odd)
    if arrays and data.draw(st.booleans()):
        arrays.pop()
    check_unpacking(cls, items, arrays)


def damaged(data: Any, items: Any) -> Any:
    """Return msgpack values of which one, somewhere, is another, is missing, or is too much."""
    if type(items) is not list or not items or data.draw(st.integers(0, 3)) == 0:
        return data.draw(odd)
    made = list(items)
    index = data.draw(st.integers(0, len(made) - 1))
    match data.draw(st.integers(0, 4)):
        case 0:
            del made[index]
        case 1:
            made.insert(index, data.draw(odd))
        case _:
            made[index] = damaged(data, made[index])
    return made


@pytest.mark.parametrize("value", [None, (), [], 0, "a", HEADER], ids=repr)
def test_what_is_no_message_at_all_is_refused_alike(value: Any) -> None:
    check_packing(Plain, value)
    check_unpacking(Plain, value, [])


def test_a_message_of_another_class_with_the_same_fields_is_treated_alike() -> None:
    class Other(Plain):
        """Is no message class."""

    other = Other(
        flag=True, number=1, real=0.5, text="a", blob=b"b", tier=Tier.LOW, level=Level.HIGH,
        overflow=Overflow.LATEST, names=("a",), words={}, maybe=None,
    )  # fmt: skip
    check_packing(Plain, other)


def test_what_ends_the_program_is_no_refusal_and_is_not_tried_again() -> None:
    for parts in both(Ending):
        tries.clear()
        with pytest.raises(KeyboardInterrupt):
            parts.unpack([5], [], "quick/Ending", HEADER)
        assert tries == [5]
