from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from olympus.models import tensors
from olympus.models.manifest import Normalisation, Tensor, TensorQuantization
from olympus.runtime.errors import ModelError

PICTURE = Tensor(
    name="image",
    dtype="int8",
    shape=("batch", 2, 2),
    normalisation=Normalisation(scale=1 / 255),
    quantization=TensorQuantization(scale=1 / 255, zero_point=-128),
)


@given(
    arrays(np.float32, 8, elements=st.floats(-1000, 1000, width=32)),
    st.floats(1e-3, 1.0),
    st.integers(-128, 127),
)
def test_a_quantized_value_comes_back_within_half_a_step_or_saturates(
    values: np.ndarray, scale: float, zero_point: int
) -> None:
    rule = TensorQuantization(scale=scale, zero_point=zero_point)
    tensor = Tensor(name="x", dtype="int8", shape=(8,), quantization=rule)
    back = tensors.dequantize(tensors.quantize(values, tensor), tensor)
    low, high = (-128 - zero_point) * scale, (127 - zero_point) * scale
    assert np.all(np.abs(back - np.clip(values, low, high)) <= scale * 0.501 + 1e-4)


def test_a_byte_picture_becomes_the_int8_picture_of_the_same_levels() -> None:
    raw = np.array([[0, 1], [128, 255]], np.uint8)
    assert tensors.prepare(raw, PICTURE).tolist() == [[[-128, -127], [0, 127]]]


def test_an_array_that_needs_nothing_is_not_copied() -> None:
    tensor = Tensor(name="image", dtype="uint8", shape=(1, 4))
    raw = np.zeros((1, 4), np.uint8)
    assert tensors.prepare(raw, tensor) is raw


def test_float_outputs_are_left_as_they_are() -> None:
    tensor = Tensor(name="p", dtype="float32", shape=(2,))
    assert tensors.dequantize(np.ones(2, np.float32), tensor).tolist() == [1, 1]


def test_a_tensor_without_quantization_can_not_be_quantized() -> None:
    tensor = Tensor(name="p", dtype="float32", shape=(2,))
    with pytest.raises(ModelError, match="p: is not quantized"):
        tensors.quantize(np.ones(2), tensor)


@given(st.lists(st.integers(1, 5), max_size=4), st.lists(st.integers(1, 5), max_size=4))
def test_a_shape_fits_itself_and_names_fit_anything(have: list[int], want: list[int]) -> None:
    fixed = Tensor(name="x", dtype="int8", shape=tuple(want))
    named = Tensor(name="x", dtype="int8", shape=tuple(f"d{i}" for i in range(len(want))))
    assert tensors.fits(tuple(have), fixed) == (have == want)
    assert tensors.fits(tuple(have), named) == (len(have) == len(want))


SHAPES = st.tuples(st.integers(0, 3), st.integers(0, 17))
FLOATS = st.sampled_from(("<f2", "<f4", "<f8", ">f4", ">f8", "f16"))


@given(st.data(), FLOATS, SHAPES)
def test_an_array_is_finite_where_numpy_finds_each_number_of_it_so(
    data: st.DataObject, dtype: str, shape: tuple[int, int]
) -> None:
    numbers = data.draw(arrays(np.dtype(dtype), shape))
    for array in (numbers, numbers.T, numbers[:, ::2], numbers[::-1]):
        assert tensors.is_finite(array) is bool(np.isfinite(array).all())


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8"])
@pytest.mark.parametrize("odd", [np.nan, -np.nan, np.inf, -np.inf])
def test_one_number_that_is_none_is_found_wherever_it_is(dtype: str, odd: float) -> None:
    kind = np.dtype(dtype)
    for place in range(40):
        array = np.full(40, np.finfo(kind).max, kind)  # a sum of them would be infinite
        assert tensors.is_finite(array)
        array[place] = odd
        assert not tensors.is_finite(array)
    crooked = np.frombuffer(b"x" + array.tobytes(), kind, offset=1)
    assert not tensors.is_finite(crooked)
    assert not tensors.is_finite(array[-1])
