"""What C holds of questions and answers, it lets go."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import msgpack
import numpy as np
import pytest

from olympus.runtime.bus.ipc.frames import Channel, Frame
from olympus.runtime.bus.ipc.pool import Pools
from olympus.runtime.bus.ipc.records import HEAD, Kind, Packed, Packing
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import schema_by_class
from olympus.runtime.messages.inference import Inferred, ModelOrigin, tensors_of
from olympus.runtime.quick import quick, why_not

from .ends import End
from .test_lifetimes import alive, check_nothing_is_left

pytestmark = pytest.mark.skipif(quick is None, reason=f"no C here: {why_not}")
CARD = schema_by_class(Inferred)
NAMED: dict[str, Any] = {"x": np.arange(12, dtype=np.float32), "y": np.arange(300, dtype=np.uint8)}
ANSWER = Inferred(tensors=tensors_of(NAMED), model="m", origin=ModelOrigin(place="somewhere"))
TIMES = 5000


class Slots:
    """A pool of another host that gives out one array."""

    def __init__(self) -> None:
        self.array = np.zeros(70_000, np.uint8)

    def view(self, slot: int, readers: int) -> Any:
        """Return a slot."""
        return self.array[:]


def opened(end: End) -> Channel:
    """Return a channel of answers that Python has read one from."""
    channel = end.channels[1] = Channel("", (CARD.name, CARD.version, CARD.hash), "", 0)
    for record in (packed(), slotted(b"")):
        Frame(channel, HEAD.unpack_from(record), record, (np.zeros(70_000, np.uint8),)).asked()
    return channel


def packed() -> bytes:
    """Return the record of an answer."""
    made = Packing(Inferred, 1, Pools()).call(Kind.ANSWER, ANSWER, 3)
    assert isinstance(made, bytes)
    return made


def slotted(more: bytes) -> bytes:
    """Return the record of an answer whose array is in slot 2 of pool 1."""
    fields = [[["z", "uint8", [4], 0]], "", False, {}, [""] * 5, [0, "", []]]
    body: bytes = msgpack.packb([*fields, [["|u1", [4], 0, 8]]]) + more
    return (
        HEAD.pack(2, 2, 5, 1, 3, 0, 0, 0, 1, len(body)) + (1 << 32 | 2).to_bytes(8, "little") + body
    )


def test_records_that_are_made_leave_nothing_behind() -> None:
    packing = Packing(Inferred, 1, Pools())
    held = *(one.data for one in ANSWER.tensors), ANSWER, ANSWER.header, ANSWER.header.trace
    check_nothing_is_left(lambda number: packing.call(2, ANSWER, number), *held, times=TIMES)
    spoilt = Inferred(tensors=tensors_of(NAMED), model="\ud800")

    def fail(number: int) -> None:
        with suppress(Exception):
            packing.call(2, spoilt, number)

    check_nothing_is_left(fail, *(one.data for one in spoilt.tensors), spoilt, times=TIMES)


@pytest.mark.parametrize("model", ["m", "\ud800", "x" * 30_000])
def test_records_of_lent_arrays_leave_nothing_behind(model: str) -> None:
    pools = Pools()
    packing = Packing(Inferred, 1, pools)
    room: Any = pools.loan((70_000,), np.uint8)
    loan = pools.owners[id(room)]
    answer = Inferred(tensors=tensors_of({"x": room}), model=model)

    def pack(number: int) -> None:
        with suppress(MessageError):
            assert (type(packing.call_in_c(2, answer, number)) is Packed) == (model == "m")

    held = room, loan, answer, answer.tensors[0].data, packing.call_in_c, ()
    check_nothing_is_left(pack, *held, times=TIMES)
    assert pools.held() == 1


def test_what_comes_is_handed_on_and_leaves_nothing_behind() -> None:
    end, record = End(), packed()
    channel = opened(end)

    def come(_: int) -> None:
        end.send(record)
        end.wire.read()
        assert end.calls.pop()[:3] == (2, 3, channel)

    check_nothing_is_left(come, channel, channel.asked, end.wire, None, times=TIMES)
    assert not end.records and alive(Inferred) <= 1  # the one above
    end.end()


def test_what_comes_in_slots_is_claimed_once() -> None:
    end, slots = End(), Slots()
    end.pools[1] = slots  # type: ignore[assignment]
    channel = opened(end)
    good, bad = slotted(b""), slotted(b"\xc1")

    def come(_: int) -> None:
        end.send(good)
        end.wire.read()
        ((_, _, _, message),) = end.calls
        assert np.shares_memory(message.tensors[0].data, slots.array)
        end.calls.clear()
        del message
        end.send(bad)
        end.wire.read()
        assert end.records.pop() == bad and not end.calls

    check_nothing_is_left(come, channel, slots, slots.array, end.wire, times=TIMES)
    end.end()


def test_an_error_of_who_takes_it_on_comes_out_of_the_reading() -> None:
    end, record = End(), packed()
    channel = opened(end)
    end.error = error = KeyboardInterrupt()

    def come(_: int) -> None:
        end.send(record)
        with pytest.raises(KeyboardInterrupt):
            end.wire.read()
        error.__traceback__ = None

    check_nothing_is_left(come, channel, end.wire, error, times=1000)
    end.end()
