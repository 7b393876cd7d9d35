import struct
import tracemalloc
from dataclasses import replace
from typing import Any, cast

import msgpack
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from olympus.runtime.errors import MessageError, SchemaError
from olympus.runtime.messages import (
    Command,
    Detection,
    Detections,
    Header,
    Hop,
    Image,
    Log,
    Message,
    Percept,
    Ranges,
    Reading,
    decode,
    encode,
    read_header,
    schema_by_class,
)
from olympus.runtime.messages.inference import Infer, Tensor
from olympus.runtime.qos import Tier

big = st.integers(0, 2**63 - 1)
names = st.text(max_size=20)
hops = st.builds(Hop, names, big, big, big)
headers = st.builds(
    Header,
    seq=big,
    stamp=big,
    expires=big,
    tier=st.sampled_from(Tier),
    source=names,
    trace=st.lists(hops, max_size=8).map(tuple),
)
floats = st.floats(allow_nan=False)
shapes = st.tuples(st.integers(0, 12), st.integers(0, 12), st.just(3))
images = st.builds(
    Image, header=headers, data=shapes.flatmap(lambda s: npst.arrays(np.uint8, s)), encoding=names
)
readings = st.builds(
    Reading, header=headers, name=names, value=floats, unit=names, valid=st.booleans()
)
boxes = st.builds(Detection, label=names, confidence=floats, x=floats, y=floats, w=floats, h=floats)
detections = st.builds(Detections, header=headers, items=st.lists(boxes, max_size=5).map(tuple))
commands = st.builds(
    Command, header=headers, text=names, verb=names, args=st.dictionaries(names, names, max_size=4)
)
messages = st.one_of(images, readings, detections, commands)


@given(messages)
def test_every_message_survives_the_way_there_and_back(message: Message) -> None:
    frame = encode(message)
    back = decode(frame)
    assert type(back) is type(message)
    assert back.header == message.header
    assert encode(back) == frame


@given(messages)
def test_type_and_header_can_be_read_alone(message: Message) -> None:
    name, header = read_header(encode(message))
    assert name == schema_by_class(type(message)).name
    assert header == message.header


@given(npst.arrays(np.float32, st.integers(0, 40)), st.integers(-3, 3).filter(bool))
def test_strided_arrays_arrive_with_their_values(values: Any, step: int) -> None:
    view = values[::step]
    back = decode(encode(Ranges(bearings_rad=view, distances_m=view, max_m=6.0)))
    assert isinstance(back, Ranges)
    np.testing.assert_array_equal(back.distances_m, view)


def test_a_decoded_array_can_not_be_written_to() -> None:
    back = decode(encode(Image(data=np.zeros((2, 2, 3), np.uint8))))
    assert isinstance(back, Image)
    with pytest.raises(ValueError, match="read-only"):
        back.data[0, 0, 0] = 1


def test_nan_is_a_value_like_any_other() -> None:
    back = decode(encode(Percept(kind="object", label="person", confidence=0.5)))
    assert isinstance(back, Percept)
    assert np.isnan(back.distance_m)


@given(st.binary(max_size=300))
def test_hostile_bytes_are_refused_with_a_message_error(blob: bytes) -> None:
    with pytest.raises(MessageError):
        decode(blob)


@given(messages, st.data())
def test_a_damaged_frame_is_refused_or_still_a_message(message: Message, data: Any) -> None:
    frame = bytearray(encode(message))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    try:
        back = decode(bytes(frame))
    except MessageError:
        return
    encode(back)


@given(messages, st.data())
def test_a_cut_frame_is_refused(message: Message, data: Any) -> None:
    frame = encode(message)
    length = data.draw(st.integers(0, len(frame) - 1))
    with pytest.raises(MessageError):
        decode(frame[:length])


def _forged(head: object, tail: bytes = b"") -> bytes:
    packed: bytes = msgpack.packb(head)
    return struct.pack("<4sI", b"OLY1", len(packed)) + packed + tail


def _head(message: Message) -> list[Any]:
    frame = encode(message)
    (length,) = struct.unpack_from("<I", frame, 4)
    head: list[Any] = msgpack.unpackb(frame[8 : 8 + length])
    return head


def test_an_unknown_type_is_refused_by_name() -> None:
    with pytest.raises(SchemaError, match=r"olympus/Imago.*did you mean 'olympus/Image'"):
        decode(_forged(["olympus/Imago", 1, b"12345678", [], [], []]))


@pytest.mark.parametrize(
    ("version", "verdict"),
    [(2, "the sender is newer; update this side"), (0, "this side is newer; update the sender")],
)
def test_another_version_of_a_type_is_refused_and_says_which_side_is_newer(
    version: int, verdict: str
) -> None:
    head = _head(Command(text="a", verb="b"))
    head[1:3] = version, b"otherone"
    with pytest.raises(SchemaError, match=f"olympus/Command is of version {version}.*{verdict}"):
        decode(_forged(head))


def test_another_layout_under_the_same_version_is_refused_with_a_remedy() -> None:
    head = _head(Command(text="a", verb="b"))
    head[2] = b"otherone"
    with pytest.raises(SchemaError, match="run the same release on both sides"):
        decode(_forged(head))


@pytest.mark.parametrize(
    "shape",
    [[2**40], [2**20, 2**20], [-1], ["3"], [1] * 9, [0, *[2**28] * 7], [*[2**28] * 7, 0]],
)
def test_an_array_that_claims_more_than_there_is_is_refused(shape: list[Any]) -> None:
    head = _head(Image(data=np.zeros((1, 1, 3), np.uint8)))
    head[5] = [["|u1", shape]]
    with pytest.raises(MessageError):
        decode(_forged(head, b"\0" * 64))


@pytest.mark.parametrize("dtype", ["|O", "<M8[ns]", "|V8", ">f4", "u1"])
def test_arrays_of_objects_and_odd_types_are_refused(dtype: str) -> None:
    head = _head(Image(data=np.zeros((1, 1, 3), np.uint8)))
    head[5] = [[dtype, [1, 1, 3]]]
    with pytest.raises(MessageError, match=r"is not \[dtype, shape\]"):
        decode(_forged(head, b"\0" * 64))


def test_an_error_names_the_field() -> None:
    head = _head(Reading(name="a", value=1.0, unit="1"))
    head[4][1] = "hot"
    with pytest.raises(MessageError, match=r"olympus/Reading.value: str where float"):
        decode(_forged(head))


def _asked(**changes: Any) -> Infer:
    data, given = np.arange(6, dtype=np.uint8), {"name": "x", "dtype": "uint8", "shape": (2, 3)}
    right = Tensor(name="w", dtype="uint8", shape=(6,), data=data)
    tensors = (right, Tensor(**{**given, "data": data, **changes}))
    return Infer(model="m", tier=Tier.HIGH, deadline=0, source="s", tensors=tensors)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": 1}, r"Infer.tensors: Tensor.name: 1 is no str"),
        ({"shape": (2, "3")}, r"Infer.tensors: Tensor.shape: .*'3' is no integer"),
        ({"shape": (2, True)}, r"Infer.tensors: Tensor.shape: .*True is no integer"),
        ({"shape": 3}, r"Infer.tensors: Tensor.shape: int where a tuple is needed"),
        ({"shape": (1,) * 9000}, r"Infer.tensors: Tensor.shape: 9000 items"),
        ({"data": np.zeros(6)}, r"Infer.tensors: Tensor.data: dtype float64 where u1"),
        ({"data": np.zeros((2, 3), "u1")}, r"Infer.tensors: Tensor.data: shape \(2, 3\)"),
        ({"data": b"abc"}, r"Infer.tensors: Tensor.data: an array is needed, not bytes"),
    ],
)
def test_what_is_wrong_deep_within_can_not_be_sent_and_is_named(
    changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(MessageError, match=said):
        encode(_asked(**changes))


@pytest.mark.parametrize(
    ("place", "wrong", "said"),
    [
        (0, 7, r"tensors\[1\].name: int where str is needed"),
        (2, [2, "3"], r"tensors\[1\].shape\[1\]: '3' is no integer"),
        (2, [2**63], r"tensors\[1\].shape\[0\]: 9223372036854775808 is no integer"),
        (2, None, r"tensors\[1\].shape: NoneType where a list is needed"),
        (3, 2, r"tensors\[1\].data: there is no array 2"),
        (3, -1, r"tensors\[1\].data: there is no array -1"),
        (None, ["x"], r"tensors\[1\]: 4 fields of Tensor are needed"),
        (None, "x", r"tensors\[1\]: 4 fields of Tensor are needed"),
    ],
)
def test_what_is_wrong_deep_within_is_refused_and_named(
    place: int | None, wrong: Any, said: str
) -> None:
    head = _head(_asked())
    if place is None:
        head[4][4][1] = wrong
    else:
        head[4][4][1][place] = wrong
    data = np.arange(6, dtype=np.uint8).tobytes()
    where = struct.calcsize("<4sI") + len(msgpack.packb(head))
    first = bytes(-where % 64) + data
    tail = first + bytes(-(where + len(first)) % 64) + data
    with pytest.raises(MessageError, match=f"olympus/Infer.{said}"):
        decode(_forged(head, tail))


def test_a_list_travels_where_a_tuple_is_meant() -> None:
    rows: Any = list(_asked(shape=[2, 3]).tensors)
    loose = replace(_asked(), tensors=rows)
    assert encode(loose) == encode(_asked())


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_header_with_a_negative_number_or_time_is_refused(place: int) -> None:
    head = _head(Command(text="a", verb="b"))
    head[3][place] = -1
    with pytest.raises(MessageError, match="none can be negative"):
        decode(_forged(head))


def test_a_value_of_the_wrong_type_can_not_be_sent() -> None:
    wrong: Any = "hot"
    with pytest.raises(MessageError, match=r"Reading.value: .*str where float"):
        encode(Reading(name="a", value=wrong, unit="1"))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (np.zeros((2, 2), np.uint8), "shape"),
        (np.zeros((2, 2, 4), np.uint8), "shape"),
        (np.zeros((2, 2, 3), np.float32), "dtype"),
    ],
)
def test_a_picture_of_the_wrong_shape_can_not_be_sent(data: Any, problem: str) -> None:
    with pytest.raises(MessageError, match=problem):
        encode(Image(data=data))


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (Log(level="info", logger="a", text="\udcff"), "no Unicode"),
        (Log(level="info", logger="a", text="x" * 2**21), "into an array"),
        (Log(level="info", logger="a", text="", fields={str(n): "" for n in range(9000)}), "9000"),
        (Reading(name="a", value=10**400, unit="1"), r"Reading.value: .*too large"),
        (Reading(header=Header(tier=cast("Tier", 7)), name="a", value=1.0, unit="1"), "none of"),
        (Detections(items=cast("tuple[Detection]", None)), r"Detections.items: NoneType"),
        (Log(level="info", logger="a", text="", fields=cast("dict[str, str]", {1: "a"})), "fields"),
    ],
)
def test_what_could_not_be_read_again_can_not_be_sent(wrong: Message, problem: str) -> None:
    with pytest.raises(MessageError, match=problem):
        encode(wrong)


def _packed(*heads: bytes) -> bytes:
    head = b"".join(heads)
    return struct.pack("<4sI", b"OLY1", len(head)) + head


@pytest.mark.parametrize(
    "frame",
    [
        _packed(b"\xdd\x00\x0f\x00\x00" + b"\x80" * 0xF0000),
        _packed(b"\xdd\x00\x00\x20\x00" * 1000 + b"\x80" * 2**19),
        _packed(b"\xdc\x00\x80" + (b"\xdc\x1f\xf0" + b"\x80" * 0x1FF0) * 0x80),
        _packed(b"\xdd\x00\xf0\x00\x00" + b"\x80" * 0xF00000),
    ],
    ids=["long", "nested", "full", "huge"],
)
def test_a_hostile_head_takes_little_memory(frame: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(MessageError):
            decode(frame)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 100 * 2**20
