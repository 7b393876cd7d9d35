"""Tensors made and opened in C: the same that Python makes of the same memory, or left to it."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olympus.runtime.bus.ipc.pool import Pools
from olympus.runtime.messages import inference
from olympus.runtime.messages.inference import (
    Tensor,
    arrays_of,
    python_arrays_of,
    python_tensors_of,
    tensors_of,
)
from olympus.runtime.quick import quick, why_not

from .shapes import UNSET, Number, Picture, Text, bare, odd
from .test_lifetimes import check_nothing_is_left

pytestmark = pytest.mark.skipif(quick is None, reason=f"no C here: {why_not}")
DTYPES = ("bool", "u1", "i1", "<i2", ">i2", "i4", "i8", "u4", "f2", "f4", ">f4", "f8", "c8", "U1")
LAYOUTS: dict[str, Any] = {
    "plain": lambda array: array,
    "read-only": lambda array: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape),
    "with gaps": lambda array: np.repeat(array, 2, axis=0)[::2] if array.ndim else array,
    "backwards": lambda array: array[::-1] if array.ndim else array,
    "turned": lambda array: array.T,
    "of Fortran": np.asfortranarray,
    "a view": lambda array: array.view(),
    "of another class": lambda array: array.view(Picture),
    "crooked": lambda array: np.frombuffer(b"x" + array.tobytes(), array.dtype, offset=1).reshape(
        array.shape
    ),
}


def root(array: Any) -> Any:
    """Return what an array looks at: itself, where it owns its memory."""
    return array if array.base is None else array.base


def looks(value: Any, given_: Any) -> Any:
    """Return what there is to see of what was made, and whether it is memory that was given."""
    if isinstance(value, Tensor):
        return [looks(getattr(value, one.name), given_) for one in dataclasses.fields(Tensor)]
    if isinstance(value, np.ndarray):
        flags = value.flags.writeable, value.flags.c_contiguous, value.flags.aligned
        shared = [id(root(value)) == id(root(one)) for one in given_]
        held = value.dtype, value.shape, value.strides, value.tobytes()
        return type(value), value.flags.owndata, *flags, *held, shared
    if isinstance(value, dict):
        return [(looks(name, given_), looks(one, given_)) for name, one in value.items()]
    if isinstance(value, tuple):
        return [looks(one, given_) for one in value]
    return type(value), repr(value)


def outcome(act: Any, what: Any, given_: Any) -> Any:
    """Return what is made or raised, as far as both must be alike."""
    try:
        return looks(act(what), given_)
    except Exception as error:  # noqa: BLE001  whichever it is, both must raise it
        return type(error), str(error)


@st.composite
def arrays(draw: Any) -> Any:
    """Return an array of any dtype, shape and layout."""
    shape = tuple(draw(st.lists(st.integers(0, 3), max_size=4)))
    array = np.arange(int(np.prod(shape))).astype(draw(st.sampled_from(DTYPES))).reshape(shape)
    if not array.size:
        return array
    return LAYOUTS[draw(st.sampled_from(list(LAYOUTS)))](array)


@settings(max_examples=300, deadline=None)
@given(named=st.dictionaries(st.text(max_size=3) | odd.filter(lambda one: isinstance(
    one, int | str | None)), arrays() | arrays() | odd, max_size=3))  # fmt: skip
def test_tensors_are_those_of_python(named: dict[Any, Any]) -> None:
    given_ = [one for one in named.values() if isinstance(one, np.ndarray)]
    assert outcome(tensors_of, named, given_) == outcome(python_tensors_of, named, given_)


@st.composite
def tensors(draw: Any) -> Any:
    """Return a tensor, in which a field may be what it should not be."""
    named = {"a": np.ones(draw(st.lists(st.integers(0, 3), max_size=3)), np.float32)}
    ((tensor,), fields) = python_tensors_of(named), {}
    for one in dataclasses.fields(Tensor):
        is_odd = draw(st.integers(0, 9)) == 0
        fields[one.name] = draw(odd | st.just(UNSET)) if is_odd else getattr(tensor, one.name)
    kinds = ["float32", "int8", "float64", "bool", "uint16", ">f4", Text("float32")]
    if draw(st.integers(0, 3)) == 0:
        fields["dtype"] = draw(st.sampled_from(kinds))
    if draw(st.integers(0, 3)) == 0:
        lengths = st.sampled_from([0, 1, 2, -1, 2**62, 2**63, 2**64, True, Number(2), 1.0, None])
        fields["shape"] = tuple(draw(st.lists(lengths, max_size=9)))
    if draw(st.integers(0, 5)) == 0:
        fields["data"] = draw(arrays())
    fields["name"] = draw(st.sampled_from(["a", "b", "c", fields["name"]]))
    return bare(Tensor, fields)


@settings(max_examples=500, deadline=None)
@given(row=st.lists(tensors() | tensors() | tensors() | odd, max_size=3).map(tuple))
def test_arrays_are_those_of_python(row: tuple[Any, ...]) -> None:
    given_ = [one.data for one in row if isinstance(getattr(one, "data", None), np.ndarray)]
    assert outcome(arrays_of, row, given_) == outcome(python_arrays_of, row, given_)


@pytest.mark.parametrize("odd_one", [None, 1, "x", [], {}, (1,), [None], {"a": None}, iter(())])
def test_what_is_no_row_and_no_map_is_met_alike(odd_one: Any) -> None:
    assert outcome(arrays_of, odd_one, []) == outcome(python_arrays_of, odd_one, [])
    assert outcome(tensors_of, odd_one, []) == outcome(python_tensors_of, odd_one, [])


@pytest.mark.parametrize("most", [8, 9])
def test_shapes_of_many_axes_are_met_alike(most: int) -> None:
    (tensor,) = tensors_of({"a": np.ones((1,) * most, np.int16)})
    row = (dataclasses.replace(tensor, shape=(1,) * most),)
    assert outcome(arrays_of, row, []) == outcome(python_arrays_of, row, [])


def in_c_or_else(packs: str, unpacks: str) -> Any:
    """Return what packs and unpacks tensors, and gives these words where it is left to Python."""
    names = tuple(one.name for one in dataclasses.fields(Tensor))
    kinds = {dtype: (name, dtype, dtype.itemsize) for name, dtype in inference._DTYPES.items()}
    dtypes = {name: (dtype, dtype.itemsize) for name, dtype in inference._DTYPES.items()}
    words = Tensor, names, kinds, dtypes, inference._BYTES
    assert quick is not None
    return quick.Tensors(*words, lambda _: packs, lambda _: unpacks)


def test_what_is_plain_is_done_in_c() -> None:
    in_c = in_c_or_else("pack", "unpack")
    named = {"x": np.zeros((2, 3), np.float32), "y": np.array(1.5), "z": np.ones(3, bool)}
    row = in_c.pack(named)
    assert type(row) is tuple and [one.name for one in row] == ["x", "y", "z"]
    assert type(in_c.unpack(row)) is dict
    assert in_c.pack({"x": np.zeros((2, 3), np.complex64)}) == "pack"
    assert in_c.unpack((*row, row[0])) == "unpack"
    assert (in_c.pack([]), in_c.unpack([])) == ("pack", "unpack")


def test_memory_that_was_lent_lives_as_long_as_what_looks_at_it() -> None:
    pools = Pools()
    room = pools.loan((5, 70_000), np.float32)
    assert room is not None
    named = {"x": room}
    del room
    row = tensors_of(named)
    named.clear()
    opened = arrays_of(row)
    del row
    assert pools.held() == 1
    part = opened["x"][1]
    opened.clear()
    assert pools.held() == 1
    del part
    assert pools.held() == 0


def test_nothing_is_left_behind() -> None:
    named: dict[str, Any] = {"x": np.zeros((2, 3), np.float32), "y": np.array(1.5)}
    row = tensors_of(named)
    bad: Any = (*row, bare(Tensor, {"name": "z", "data": named["x"]}))
    strange: dict[str, Any] = named | {"z": np.zeros(3, np.complex64)}

    def act(_: int) -> None:
        assert len(arrays_of(tensors_of(named))) == 2
        with suppress(Exception):
            arrays_of(bad)
        with suppress(Exception):
            tensors_of(strange)

    held = *named.values(), *row, *(one.data for one in row), *(one.dtype for one in named.values())
    check_nothing_is_left(act, *held, inference._in_c, named, row, times=5000)


@pytest.mark.parametrize(
    "words",
    [
        (),
        (Tensor,),
        (Tensor, ("name",), {}, {}, None, None, None),
        (int, ("real",) * 4, {}, {}, None, None, None),
    ],
)
def test_it_is_made_as_it_should_be(words: tuple[Any, ...]) -> None:
    assert quick is not None
    with pytest.raises(TypeError):
        quick.Tensors(*words)
