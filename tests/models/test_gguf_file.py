from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.models.float_gguf import as_float

from olympus.models.gguf_file import look_into
from olympus.models.registry import Registry
from olympus.runtime.errors import ModelError

HERE = Path("x.gguf")


def shipped() -> bytes:
    return Registry().find("planner").read()


def test_the_shipped_planner_is_quantized_but_for_its_norms() -> None:
    found = look_into(HERE, shipped())
    kinds = {one.name: one.is_float for one in found.tensors}
    assert not kinds["token_embd.weight"] and not kinds["blk.0.ffn_up.weight"]
    assert kinds["output_norm.weight"]


def test_a_float_file_is_known_as_one_and_holds_the_same_numbers() -> None:
    before, data = look_into(HERE, shipped()), as_float(shipped())
    found = look_into(HERE, data)
    assert all(one.is_float for one in found.tensors)
    assert [(one.name, one.shape) for one in found.tensors] == [
        (one.name, one.shape) for one in before.tensors
    ]
    norm = next(one for one in found.tensors if one.name == "output_norm.weight")
    was = next(one for one in before.tensors if one.name == "output_norm.weight")
    assert np.array_equal(
        np.frombuffer(data, "<f4", norm.shape[0], norm.start),
        np.frombuffer(shipped(), "<f4", was.shape[0], was.start),
    )


@pytest.mark.parametrize("size", [0, 3, 4, 7, 30, 5000, 20_000])
def test_a_file_that_was_cut_off_is_refused_by_name(size: int) -> None:
    with pytest.raises(ModelError, match=r"x\.gguf: is (no GGUF|cut off)"):
        look_into(HERE, shipped()[:size])


def test_data_that_was_cut_off_is_seen_in_a_float_file() -> None:
    data = as_float(shipped())
    with pytest.raises(ModelError, match="lies beyond the end"):
        look_into(HERE, data[: len(data) // 2])


@given(st.binary(max_size=300), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_hostile_bytes_are_refused_with_a_model_error(tail: bytes, many: int, facts: int) -> None:
    with pytest.raises(ModelError):
        look_into(HERE, b"GGUF" + struct.pack("<IQQ", 3, many | 1, facts) + tail)


def test_lists_of_lists_without_end_are_refused() -> None:
    nested = struct.pack("<IQ", 9, 1) * 5000
    data = b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1) + b"k" + struct.pack("<I", 9) + nested
    with pytest.raises(ModelError):
        look_into(HERE, data)
