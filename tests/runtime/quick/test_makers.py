"""Instances made in C from their fields: the same that Python makes, of classes that have slots."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olympus.runtime.messages import Header, Hop
from olympus.runtime.messages.compiled import maker, python_maker
from olympus.runtime.quick import quick, why_not

from .shapes import MADE_UP, REGISTERED, Checked, Loose, Nest, Point, canonical, odd
from .test_lifetimes import alive, check_nothing_is_left

pytestmark = pytest.mark.skipif(quick is None, reason=f"no C here: {why_not}")
CLASSES = (*MADE_UP, *REGISTERED, Header, Hop, Point, Checked, Nest, Loose)


@dataclass(slots=True)
class Mutable:
    """Can be changed later."""

    one: object
    other: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived(Point):
    """Has fields of another class too."""

    more: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooted(Loose):
    """Has slots, and a base that has none."""

    more: int = 0


class BadError(Exception):
    """No dataclass makes it."""


@dataclass(slots=True)
class FailingError(BadError):
    """Has slots, and a base that is no plain object."""

    text: str


@pytest.mark.parametrize("cls", [*CLASSES, Derived], ids=lambda cls: cls.__name__)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_an_instance_is_that_of_python(cls: type[Any], data: Any) -> None:
    values = [data.draw(odd) for _ in dataclasses.fields(cls)]
    made, reference = maker(cls)(*values), python_maker(cls)(*values)
    assert type(made) is cls and canonical(made) == canonical(reference)
    assert all(
        getattr(made, one.name) is value
        for one, value in zip(dataclasses.fields(cls), values, strict=True)
    )


@pytest.mark.parametrize("cls", [Loose, Rooted, FailingError])
def test_what_is_not_plainly_in_slots_is_made_in_python(cls: type[Any]) -> None:
    assert quick is not None
    assert not isinstance(maker(cls), quick.Maker)
    for other in (Mutable, Derived, Header, *REGISTERED):
        assert isinstance(maker(other), quick.Maker)


def test_what_was_made_can_be_changed_copied_and_collected() -> None:
    made = maker(Mutable)([], "b")
    assert copy.deepcopy(made) == made
    made.one = made  # a ring
    made.other = 3
    assert (made.other, made.one) == (3, made)
    del made
    assert alive(Mutable) == 0


def test_a_wrong_number_of_values_is_refused() -> None:
    make = maker(Hop)
    for values in ((), (1, 2, 3), (1, 2, 3, 4, 5)):
        with pytest.raises(TypeError, match="4 values"):
            make(*values)
    with pytest.raises(TypeError, match="by place"):
        make(1, 2, 3, sent=4)
    assert make(*[1, 2, 3, 4], **{}) == Hop(1, 2, 3, 4)  # type: ignore[arg-type]


def test_it_is_made_of_a_class_that_has_these_slots() -> None:
    assert quick is not None
    for words in (
        (),
        (Hop,),
        (Hop, ["topic"]),
        (Hop, ("none",)),
        (3, ("topic",)),
        (Loose, ("size",)),
    ):
        with pytest.raises((TypeError, AttributeError)):
            quick.Maker(*words)


def test_nothing_is_left_behind() -> None:
    make = maker(Mutable)
    held: tuple[Any, ...] = object(), []

    def act(_: int) -> None:
        assert make(*held).one is held[0]
        with pytest.raises(TypeError):
            make(held[0])

    check_nothing_is_left(act, *held, make, times=3000)
