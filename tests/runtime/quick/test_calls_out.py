"""Records of questions and answers made in C: byte for byte those that Python makes, or none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olympus.runtime.bus.ipc.pool import Pools
from olympus.runtime.bus.ipc.records import Kind, Packed, Packing
from olympus.runtime.bus.ipc.shelf import SHORT
from olympus.runtime.messages import Header, Hop, Message
from olympus.runtime.messages.inference import Inferred, Tensor, tensors_of
from olympus.runtime.qos import Tier
from olympus.runtime.quick import quick, why_not

from .shapes import MADE_UP, REGISTERED, Arrays, Bare, Number, Picture, Refusing, bare, instances
from .test_outlet import CHANNEL, headers

pytestmark = pytest.mark.skipif(quick is None, reason=f"no C here: {why_not}")
CALLED = Header(seq=4, stamp=5, expires=6, tier=Tier.LOW, source="n")
_numbers = st.integers(0, 2**64 - 1) | st.sampled_from([-1, 2**64, 1.5, None])
_kinds = st.sampled_from([1, 2, Kind.ASK, Kind.ANSWER, 255, 256, -1, None])


def packing(cls: type[Message], *, in_c: bool) -> Packing:
    """Return what packs a class."""
    made = Packing(cls, CHANNEL, Pools())
    if not in_c:
        made.call_in_c = None
    return made


def made(given_: Packing, *words: Any) -> Any:
    """Return a record and what goes along, or what is raised."""
    try:
        record = given_.call(*words)
    except Exception as error:  # noqa: BLE001  whichever it is, both must raise it
        return type(error), str(error)
    if not isinstance(record, Packed):
        return record
    held = given_._pools.pools
    arrays = [held[slot >> 32].bytes.tobytes() for slot in record.slots[:1]]
    return record.data, record.slots, record.taken, record.nbytes, arrays


def same(cls: type[Message], *words: Any) -> None:
    """See that both make the same."""
    ours, theirs = packing(cls, in_c=True), packing(cls, in_c=False)
    for _ in range(2):  # nothing is left over
        assert made(ours, *words) == made(theirs, *words)


def plain(message: Message) -> Any:
    """Return what C makes of an answer."""
    return packing(type(message), in_c=True).call_in_c(2, message, 3)


@pytest.mark.parametrize("cls", [*MADE_UP, *REGISTERED], ids=lambda cls: cls.__name__)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_record_is_byte_for_byte_that_of_python(cls: type[Message], data: Any) -> None:
    value = data.draw(instances(cls, damaged=data.draw(st.booleans())))
    if type(value) is cls:
        header = data.draw(st.just(CALLED) | headers())
        fields = {name: getattr(value, name) for name in cls.__slots__ if hasattr(value, name)}
        value = bare(cls, fields | {"header": header})
    kind, number = data.draw(st.just(2) | _kinds), data.draw(st.just(3) | _numbers)
    same(cls, kind, value, number)


def test_what_is_plain_is_made_in_c() -> None:
    assert type(plain(Refusing(number=1, text="a", header=CALLED))) is bytes
    assert type(plain(Bare())) is bytes
    answer = Inferred(tensors=tensors_of({"x": np.zeros((3, 5), np.float32)}))
    assert type(plain(answer)) is bytes


def test_what_something_led_to_is_for_python() -> None:
    traced = Refusing(number=1, text="a", header=Header(trace=(Hop("t", 1, 2, 3),)))
    assert plain(traced) is None
    same(Refusing, 2, traced, 3)


@pytest.mark.parametrize(
    "lengths",
    [
        [], [0], [0, 0], [1], [15, 1], [16, 17, 0, 1], [SHORT], [SHORT + 1], [SHORT - 16, 16],
        [SHORT - 16, 17], [SHORT - 1, 1], [1, SHORT - 16], [1, SHORT - 15], [1] * 16, [1] * 17,
        [70_000], [9000, 9000],
    ],
)  # fmt: skip
def test_arrays_of_all_lengths_go_the_same_way(lengths: list[int]) -> None:
    arrays = {str(n): np.arange(size, dtype=np.uint8) for n, size in enumerate(lengths)}
    answer = Inferred(tensors=tensors_of(arrays), model="m", header=CALLED)
    same(Inferred, Kind.ANSWER, answer, 3)
    end = 0
    for size in lengths:
        end = -(-end // 16) * 16 + size
    assert (type(plain(answer)) is bytes) == (end <= SHORT and len(lengths) <= 16)


@pytest.mark.parametrize("step", [1, 2, -1])
def test_an_array_with_gaps_goes_the_same_way(step: int) -> None:
    data = np.arange(100, dtype=np.uint8)[::step]
    tensors = (Tensor(name="x", dtype="uint8", shape=data.shape, data=data),)
    same(Inferred, Kind.ANSWER, Inferred(tensors=tensors), 3)


@pytest.mark.parametrize("lent", [True, False])
def test_a_long_array_takes_a_slot_as_ever(lent: bool) -> None:
    records = []
    for in_c in (True, False):
        one = packing(Inferred, in_c=in_c)
        room = one._pools.loan((100_000,), np.uint8) if lent else np.zeros(100_000, np.uint8)
        assert room is not None
        room[...] = 7
        record = one.call(Kind.ASK, Inferred(tensors=tensors_of({"x": room})), 3)
        assert isinstance(record, Packed)
        assert (len(record.slots), len(record.taken)) == (1, 0 if lent else 1)
        records.append(record)
    assert records[0] == records[1]


def all_of(room: Any) -> Any:
    """Return bytes that lie in a lent array: all of them."""
    return room.reshape(-1).view(np.uint8)


IN_A_SLOT: list[tuple[str, Any, bool]] = [
    ("itself", lambda room: room, True),
    ("all of it", all_of, True),
    ("a view of a view", lambda room: all_of(room)[:][:], True),
    ("its second half", lambda room: all_of(room)[35_000:], False),
    ("its first half", lambda room: all_of(room)[:35_000], False),
    ("little of it", lambda room: all_of(room)[5:9], False),
    ("with gaps", lambda room: all_of(room)[::2], False),
    ("backwards", lambda room: all_of(room)[::-1], False),
    ("a copy", lambda room: all_of(room).copy(), False),
    ("of another class", lambda room: all_of(room).view(Picture), False),
    ("through a memoryview", lambda room: np.frombuffer(memoryview(room), np.uint8), False),
]
"""What lies where an array of 70000 bytes was lent, and whether C looks it up."""


@pytest.mark.parametrize(("_", "part", "in_c"), IN_A_SLOT, ids=[one[0] for one in IN_A_SLOT])
def test_what_lies_in_a_lent_slot_goes_the_same_way(_: str, part: Any, in_c: bool) -> None:
    records = []
    for is_in_c in (True, False):
        one = packing(Inferred, in_c=is_in_c)
        assert one._pools.loan((70_000,), np.uint8) is not None  # its number is used again
        room = one._pools.loan((70_000,), np.uint8)
        assert room is not None
        room[...] = np.arange(70_000) % 251
        data = part(room)
        answer = Inferred(tensors=(Tensor(name="x", dtype="uint8", shape=data.shape, data=data),))
        if is_in_c:
            assert (type(one.call_in_c(1, answer, 3)) is Packed) == in_c
            data = part(room)
            answer = replace(answer, tensors=(replace(answer.tensors[0], data=data),))
        records.append((made(one, Kind.ASK, answer, 3), data.flags.writeable))
        assert one._pools.held() >= 1
    assert records[0] == records[1]


@pytest.mark.parametrize("dtype", ["f4", ">i8", "?", "c16"])
def test_a_lent_array_of_any_dtype_goes_the_same_way(dtype: str) -> None:
    records = []
    for in_c in (True, False):
        one = packing(Arrays, in_c=in_c)
        room = one._pools.loan((100, 90, 3), dtype)
        assert room is not None
        fields = {"free": room, "picture": room, "flat": room, "several": (), "maybe": None}
        records.append(made(one, 1, bare(Arrays, fields | {"header": CALLED, "number": 1}), 3))
    assert records[0] == records[1]


@pytest.mark.parametrize("length", [24_000, 24_500, 24_600, 70_000])
def test_much_besides_a_lent_array_goes_the_same_way(length: int) -> None:
    records = []
    for in_c in (True, False):
        one = packing(Inferred, in_c=in_c)
        room = one._pools.loan((70_000,), np.uint8)
        assert room is not None
        room[...] = 7
        for text in ("x" * length, "\ud800"):
            answer = Inferred(tensors=tensors_of({"x": room}), model=text, header=CALLED)
            records.append((in_c, made(one, Kind.ASK, answer, 3)))
    assert [one[1] for one in records if one[0]] == [one[1] for one in records if not one[0]]


def test_a_number_that_is_used_again_is_no_slot() -> None:
    one = packing(Inferred, in_c=True)
    rooms = [one._pools.loan((70_000,), np.uint8)]
    other = np.zeros(70_000, np.uint8)
    answer = Inferred(tensors=(Tensor(name="", dtype="uint8", shape=(70_000,), data=other),))
    # As of an array that ended, while that is not settled yet.
    one._pools.owners[id(other)] = one._pools.owners[id(rooms[0])]
    assert type(one.call_in_c(1, answer, 3)) is tuple
    rooms.clear()  # now nobody owns the slot
    assert type(one.call_in_c(1, answer, 3)) is tuple
    one._pools.owners[id(other)] = "odd"  # type: ignore[assignment]
    assert type(one.call_in_c(1, answer, 3)) is tuple


@pytest.mark.parametrize("length", [24_000, 24_576, 24_600, 70_000])
def test_a_long_body_goes_the_same_way(length: int) -> None:
    same(Refusing, Kind.ANSWER, Refusing(number=1, text="x" * length), 3)
    arrays = {"x": np.arange(5, dtype=np.uint8)}
    same(Inferred, Kind.ANSWER, Inferred(tensors=tensors_of(arrays), model="x" * length), 3)


@pytest.mark.parametrize("odd", [None, 1, "x", Number(3), [], Refusing(number=1, text="")])
def test_what_is_no_message_of_the_class_is_met_alike(odd: Any) -> None:
    same(Arrays, Kind.ASK, odd, 3)


def test_it_is_called_as_it_should_be() -> None:
    with pytest.raises(TypeError, match="takes a kind"):
        packing(Bare, in_c=True).call_in_c(1)
