"""CDR: byte for byte what ROS 2 sends; what is hostile is refused, and costs nothing."""

from __future__ import annotations

import json
import struct
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.bus.ros2.catalogue import Catalogue, catalogue_of
from olympus.runtime.bus.ros2.cdr import HEADER, Codecs
from olympus.runtime.bus.ros2.record import DTYPES
from olympus.runtime.errors import MessageError

if TYPE_CHECKING:
    from tests.runtime.bus.ros2.conftest import RandomValue

SHARED = Path(__file__).resolve().parents[4].parent / "shared" / "ros2"
CODECS = Codecs(catalogue_of("jazzy"))
NAMES = [n for n in CODECS.catalogue.names() if "/msg/" in n]
seeds = st.integers(0, 2**32 - 1)


def test_each_vector_is_read_and_written_again_byte_for_byte(
    codecs: Codecs, vectors: dict[str, dict[str, str]]
) -> None:
    for name, text in vectors["cdr"].items():
        data = bytes.fromhex(text)
        codec = codecs.get(name)
        assert codec.encode(codec.decode(data)) == data, name


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no vectors of a real Jazzy in {SHARED}")
def test_what_a_real_jazzy_wrote_is_written_again_byte_for_byte(codecs: Codecs) -> None:
    samples = json.loads((SHARED / "cdr_vectors.json").read_text())
    assert len(samples) == 456
    for name, text in samples:
        data, codec = bytes.fromhex(text), codecs.get(name)
        again = codec.encode(codec.decode(data))
        assert data[: len(again)] == again, name
        assert len(data) - len(again) < 8, name


@given(name=st.sampled_from(NAMES), seed=seeds)
def test_any_value_of_any_type_comes_back_as_it_was(
    random_value: RandomValue, name: str, seed: int
) -> None:
    codec = CODECS.get(name)
    value = random_value(CODECS, name, seed)
    data = codec.encode(value)
    assert codec.decode(data) == value
    assert codec.encode(codec.decode(data)) == data


@given(name=st.sampled_from(NAMES), seed=seeds, data=st.data())
def test_bytes_that_are_cut_off_are_refused(
    random_value: RandomValue, name: str, seed: int, data: st.DataObject
) -> None:
    codec = CODECS.get(name)
    whole = codec.encode(random_value(CODECS, name, seed))
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    with pytest.raises(MessageError, match=r"cut off|or there|between 4|representation|zero at"):
        codec.decode(cut)


@given(name=st.sampled_from(NAMES), noise=st.binary(max_size=300))
def test_any_bytes_are_a_value_or_a_clear_refusal(name: str, noise: bytes) -> None:
    try:
        CODECS.get(name).decode(HEADER + noise)
    except MessageError as error:
        assert name.split("/")[0] in str(error)


@pytest.mark.parametrize(
    "name",
    [
        "std_msgs/msg/String",
        "sensor_msgs/msg/Image",
        "sensor_msgs/msg/JointState",
        "tf2_msgs/msg/TFMessage",
        "geometry_msgs/msg/PoseArray",
        "sensor_msgs/msg/PointCloud2",
    ],
)
def test_a_huge_length_is_refused_without_an_allocation(
    codecs: Codecs, random_value: RandomValue, name: str
) -> None:
    codec = codecs.get(name)
    whole = bytearray(codec.encode(random_value(codecs, name, 3)))
    tracemalloc.start()
    for at in range(4, len(whole) - 3, 4):
        hostile = bytearray(whole)
        struct.pack_into("<I", hostile, at, 0xFFFFFFF0)
        try:
            codec.decode(bytes(hostile))
        except MessageError:
            continue
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000


ROWS = sorted(
    (name, field.name)
    for name in NAMES
    for field in CODECS.get(name).definition.fields
    if field.type.is_array and not field.type.is_fixed and field.type.base not in DTYPES
)
"""Messages that hold any number of messages or strings: each item becomes an object."""


@pytest.mark.parametrize("name", sorted({name for name, _ in ROWS}))
def test_what_is_read_is_no_more_than_a_small_multiple_of_what_came(name: str) -> None:
    codec = CODECS.get(name)
    size = 20_000
    worst = 0
    for at in range(4, 64, 4):
        for count in (size, size // 4, size // 8, size // 16, size // 64):
            hostile = bytearray(HEADER + bytes(size))
            struct.pack_into("<I", hostile, at, count)
            tracemalloc.start()
            try:
                codec.decode(bytes(hostile))
            except MessageError:
                pass
            finally:
                worst = max(worst, tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
    assert worst < 40 * size


def test_a_string_is_checked(codecs: Codecs) -> None:
    codec = codecs.get("std_msgs/msg/String")
    for body, complaint in (
        (b"\x03\0\0\0abc", "without its zero"),
        (b"\x03\0\0\0\xff\xfe\0", "no UTF-8"),
        (b"\xff\xff\xff\xffabc\0", "items or bytes claimed"),
        (b"\x05\0\0\0abc\0", "items or bytes claimed"),
    ):
        with pytest.raises(MessageError, match=complaint):
            codec.decode(HEADER + body)
    assert codec.decode(HEADER + b"\0\0\0\0").data == ""


def test_some_bytes_after_the_last_field_are_let_pass_and_many_are_not(codecs: Codecs) -> None:
    codec = codecs.get("rcl_interfaces/msg/ParameterEvent")
    event = codecs.new(codec.name, new_parameters=[codecs.new("rcl_interfaces/msg/Parameter")] * 50)
    whole = codec.encode(event)
    assert codec.decode(whole + bytes(400)) == event, "as Fast CDR sends it"
    with pytest.raises(MessageError, match="bytes after its last field"):
        codec.decode(whole + bytes(2 * len(whole)))


def test_another_representation_is_refused_by_name(codecs: Codecs) -> None:
    codec = codecs.get("std_msgs/msg/Bool")
    for head in (b"\0\0\0\0", b"\0\3\0\0", b"\0\7\0\0"):
        with pytest.raises(MessageError, match="ROS 2 sends 0001"):
            codec.decode(head + b"\1")


def test_a_bound_holds_in_both_directions() -> None:
    catalogue = Catalogue()
    catalogue.add("a/msg/A", "string<=3 s\nuint8[<=2] n\nfloat32[2] f")
    codec = Codecs(catalogue).get("a/msg/A")
    fits = codec.cls(s="abc", n=[1, 2], f=[1, 2])
    assert codec.decode(codec.encode(fits)) == fits
    for wrong in ({"s": "abcd"}, {"n": [1, 2, 3]}, {"f": [1.0]}, {"n": [256]}, {"n": [-1]}):
        with pytest.raises(MessageError, match="a/msg/A"):
            codec.encode(codec.cls(**({"f": [0, 0]} | wrong)))
    too_long = HEADER + b"\x05\0\0\0abcd\0\0\0\0" + bytes(16)
    with pytest.raises(MessageError, match=r"a/msg/A\.s"):
        codec.decode(too_long)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("std_msgs/msg/Int8", {"data": 128}),
        ("std_msgs/msg/UInt8", {"data": -1}),
        ("std_msgs/msg/String", {"data": 5}),
        ("std_msgs/msg/String", {"data": None, "more": 1}),
        ("sensor_msgs/msg/JointState", {"position": ["a"]}),
        ("geometry_msgs/msg/PoseStamped", {"pose": "here"}),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(
    codecs: Codecs, name: str, fields: dict[str, object]
) -> None:
    with pytest.raises((MessageError, TypeError)):
        codecs.get(name).encode(codecs.new(name, **fields))


def test_a_picture_is_read_as_a_view(codecs: Codecs) -> None:
    codec = codecs.get("sensor_msgs/msg/Image")
    pixels = np.arange(480 * 640 * 3, dtype=np.uint8).reshape(480, 640, 3)
    data = codec.encode(codecs.new(codec.name, height=480, width=640, data=pixels))
    read = codec.decode(data).data
    assert np.shares_memory(read, np.frombuffer(data, np.uint8))
    assert not read.flags.writeable
    assert np.array_equal(read, pixels.reshape(-1))


def test_wide_strings_are_refused_since_middlewares_differ() -> None:
    catalogue = Catalogue()
    catalogue.add("a/msg/A", "wstring s")
    with pytest.raises(MessageError, match="wstring"):
        Codecs(catalogue).get("a/msg/A")


def test_a_field_named_like_a_word_of_python_can_be_used() -> None:
    catalogue = Catalogue()
    catalogue.add("a/msg/A", "int32 from\nstring data")
    codec = Codecs(catalogue).get("a/msg/A")
    assert codec.decode(codec.encode(codec.cls(from_=3, data="x"))).from_ == 3
