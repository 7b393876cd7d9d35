"""Questions and answers read in C: the message that Python reads, or none."""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from olympus.runtime.bus.ipc.frames import Channel, Frame
from olympus.runtime.bus.ipc.pool import Pools
from olympus.runtime.bus.ipc.records import HEAD, Kind, Packed, Packing
from olympus.runtime.messages import Header, Hop, Message, encode, schema_by_class
from olympus.runtime.messages.inference import Infer, Inferred, tensors_of
from olympus.runtime.qos import Tier
from olympus.runtime.quick import quick, why_not

from .shapes import MADE_UP, REGISTERED, Refusing, instances

pytestmark = pytest.mark.skipif(quick is None, reason=f"no C here: {why_not}")
BASE = np.arange(70_000, dtype=np.uint8)
BASE.flags.writeable = False
NAMED: dict[str, Any] = {
    "x": np.arange(12, dtype=np.float32).reshape(3, 4),
    "y": np.arange(5, dtype=np.uint8),
}


def channel_of(cls: type[Message], *, in_c: bool) -> Channel:
    """Return a channel of a type."""
    card = schema_by_class(cls)
    made = Channel("service", (card.name, card.version, card.hash), "", 0)
    if not in_c:
        made.asked = None
    return made


def read(cls: type[Message], record: Any, bases: Any, *, in_c: bool) -> Any:
    """Return what is read of a record, as plain values, or what is raised."""
    frame = Frame(channel_of(cls, in_c=in_c), HEAD.unpack_from(record), record, bases)
    try:
        message = frame.asked()
        return repr(message.header), type(message), encode(message), frame.asked() is message
    except Exception as error:  # noqa: BLE001  whichever it is, both must raise it
        return type(error), str(error)


def taken(cls: type[Message], record: bytes, bases: tuple[Any, ...] = ()) -> Any:
    """Return what C makes of a record, None where it leaves it to Python."""
    return channel_of(cls, in_c=True).asked.message(record, bases)


def packed(message: Message, number: int = 3) -> bytes:
    """Return the record of an answer without slots."""
    made = Packing(type(message), 5, Pools()).call(Kind.ANSWER, message, number)
    assert isinstance(made, bytes)
    return made


def same(cls: type[Message], record: Any, bases: Any = ()) -> None:
    """See that both read the same."""
    reference = read(cls, record, bases, in_c=False)  # first: it knows the arrays from then on
    assert read(cls, record, bases, in_c=True) == reference


def damaged(draw: Any, record: bytes) -> bytes:
    """Return a record of which something is otherwise."""
    match draw(st.integers(0, 3)):
        case 0:
            return record[: draw(st.integers(HEAD.size, len(record)))]
        case 1:
            place = draw(st.integers(0, len(record) - 1))
            return record[:place] + bytes([draw(st.integers(0, 255))]) + record[place + 1 :]
        case 2:
            head = list(HEAD.unpack_from(record))
            head[draw(st.integers(0, 9))] = draw(st.sampled_from([0, 1, 2, 4, 5, 7, 8, 12, 255]))
            return HEAD.pack(*head) + record[HEAD.size :]
    more: bytes = draw(st.binary(max_size=40))
    return record + more


@pytest.mark.parametrize("cls", [*MADE_UP, *REGISTERED], ids=lambda cls: cls.__name__)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_the_same_is_read_of_every_class_whole_and_damaged(cls: type[Message], data: Any) -> None:
    value = data.draw(instances(cls, damaged=False))
    pools = Pools()
    try:
        made = Packing(cls, 5, pools).call(Kind.ASK, value, data.draw(st.integers(0, 2**64 - 1)))
    except Exception:  # noqa: BLE001  what can't travel is not read
        return
    record = made.data if isinstance(made, Packed) else made
    bases = (BASE,) * data.draw(st.integers(0, 2)) if isinstance(made, Packed) else ()
    same(cls, record, bases)
    same(cls, damaged(data.draw, record), bases)
    pools.close()


def body(record: bytes) -> list[Any]:
    """Return the body of a record without slots."""
    length = HEAD.unpack_from(record)[9]
    found: list[Any] = msgpack.unpackb(record[HEAD.size : HEAD.size + length])
    return found


def with_body(record: bytes, items: Any) -> bytes:
    """Return a record with another body; its arrays begin where they began."""
    head = list(HEAD.unpack_from(record))
    begin = -(-(HEAD.size + head[9]) // 16) * 16
    made: bytes = msgpack.packb(items)
    head[9] = len(made)
    gap = bytes(-(HEAD.size + len(made)) % 16)
    return HEAD.pack(*head) + made + gap + record[begin:]


QUESTION = Infer(
    model="m", tier=Tier.HIGH, deadline=7, source="n", tensors=tensors_of(NAMED),
    header=Header(seq=4, stamp=5, expires=6, tier=Tier.LOW, source="n"),
)  # fmt: skip
ODD: list[Any] = [
    None, True, False, -1, 0, 1, 2, 48, 49, 2**31, 2**63 - 1, 2**63, 2**64 - 1, 1.0, "", "n", b"n",
    [], [1], {}, [[]], ["t", 1, 2, 3], [["t", 1, 2, 3]], [3], [2**40, 2**40], "|u1", "<f8", "|O",
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_each_odd_value_in_a_body_is_met_alike(odd: Any) -> None:
    record = packed(QUESTION)
    same(Infer, record)
    for index in range(len(body(record)) + 1):
        items = body(record)
        items[index : index + 1] = [odd]
        same(Infer, with_body(record, items))
    for index in range(3):
        items = body(record)
        items[-2][index] = odd
        same(Infer, with_body(record, items))
    for number in range(2):
        for index in range(5):
            items = body(record)
            items[-1][number][index : index + 1] = [odd]
            same(Infer, with_body(record, items))
    same(Infer, with_body(record, odd))


def test_what_is_plain_is_read_in_c_once_its_arrays_are_known() -> None:
    record = packed(QUESTION)
    same(Infer, record)
    message = taken(Infer, record)
    assert isinstance(message, Infer) and message.header == QUESTION.header
    assert [one.name for one in message.tensors] == ["x", "y"]
    assert not any(one.data.flags.writeable for one in message.tensors)
    assert taken(Infer, memoryview(record).tobytes()) is not None
    assert taken(Refusing, packed(Refusing(number=1, text="a"))) is not None


def test_an_array_of_a_slot_is_a_view_of_it() -> None:
    answer = Inferred(tensors=tensors_of({"x": NAMED["y"]}))
    items = body(packed(answer))
    items[-1] = [["|u1", [5], 0, 100]]
    made = msgpack.packb(items)
    record = HEAD.pack(2, 2, 5, 5, 3, 0, 0, 0, 1, len(made)) + bytes(8) + made
    for bases in [(), (BASE,), (BASE[:104],), (BASE[:105],), (BASE, BASE)]:
        same(Inferred, record, bases)
    message = taken(Inferred, record, (BASE,))
    assert np.shares_memory(message.tensors[0].data, BASE) and message.tensors[0].data[0] == 100
    assert taken(Inferred, record, (BASE[:104],)) is None


@pytest.mark.parametrize("flags", range(32))
@pytest.mark.parametrize("slots", [0, 1, 2**32 - 1])
def test_flags_and_slots_are_met_alike(flags: int, slots: int) -> None:
    for record in (packed(QUESTION), packed(Refusing(number=1, text="a"))):
        head = list(HEAD.unpack_from(record))
        head[2], head[8] = flags, slots
        cls = Infer if len(record) > 150 else Refusing
        same(cls, HEAD.pack(*head) + record[HEAD.size :])


def test_what_something_led_to_and_what_refuses_is_for_python() -> None:
    traced = Refusing(number=1, text="a", header=Header(trace=(Hop("t", 1, 2, 3),)))
    assert taken(Refusing, packed(traced)) is None
    for record in (packed(traced), packed(Refusing(number=1, text="a"))[:-1]):
        same(Refusing, record)
    refused = with_body(packed(Refusing(number=1, text="a")), [-1, "a", [0, "", []]])
    assert taken(Refusing, refused) is None
    same(Refusing, refused)


@pytest.mark.parametrize("length", [8100, 8192, 9000])
def test_a_long_body_is_for_python(length: int) -> None:
    record = packed(Refusing(number=1, text="x" * length))
    assert (taken(Refusing, record) is None) == (HEAD.unpack_from(record)[9] > 8192)
    same(Refusing, record)


def test_a_record_within_a_packet_of_several_is_for_python() -> None:
    record = packed(QUESTION)
    same(Infer, memoryview(record))
    assert taken(Infer, memoryview(record)) is None  # type: ignore[arg-type]


def test_it_is_made_and_asked_as_it_should_be() -> None:
    assert quick is not None
    with pytest.raises(TypeError):
        quick.Asked(None, msgpack.unpackb, tuple(Tier), {}, "n", 100)
    reader = channel_of(Infer, in_c=True).asked
    wrong: list[tuple[Any, ...]] = [(), (b"",), (b"", [])]
    for given_ in wrong:
        with pytest.raises(TypeError, match="takes a record"):
            reader.message(*given_)
