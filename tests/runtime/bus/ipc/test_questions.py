"""Questions: what they carry comes through, and each waits for as long as it may."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from olympus.runtime.bus import Bus
from olympus.runtime.bus.failure import MAX_CALLS
from olympus.runtime.bus.ipc import open_door
from olympus.runtime.bus.ipc.frames import Channel, Frame
from olympus.runtime.bus.ipc.pool import Pools
from olympus.runtime.bus.ipc.reading import read_arrays
from olympus.runtime.bus.ipc.records import HEAD, Kind, Packed, Packing
from olympus.runtime.bus.ipc.shelf import ALIGN, SHORT
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import BusError, MessageError, ServiceError
from olympus.runtime.messages import Empty, schema_by_class
from olympus.runtime.messages.inference import Inferred, arrays_of, tensors_of

CARD = schema_by_class(Inferred)
LENGTHS = st.sampled_from([0, 1, 15, 16, 17, SHORT - 16, SHORT - 1, SHORT, SHORT + 1])


@given(st.lists(LENGTHS, max_size=5))
@example([SHORT - 1, 1])
@example([17, SHORT])
def test_what_an_answer_carries_is_what_was_given(lengths: list[int]) -> None:
    pools = Pools()
    given_ = {
        f"n{number}": np.arange(length, dtype=np.uint8) + np.uint8(number)
        for number, length in enumerate(lengths)
    }
    packing = Packing(Inferred, 5, pools)
    packed = packing.call(Kind.ANSWER, Inferred(tensors=tensors_of(given_), model="m"), 3)
    record, slots = (packed.data, packed.slots) if isinstance(packed, Packed) else (packed, ())
    assert not slots or sum(lengths) > SHORT - len(lengths) * ALIGN
    assert slots or max(lengths, default=0) <= SHORT
    places = [pools.place_of(slot) for slot in slots]
    bases: list[Any] = [
        np.frombuffer(pool.memory.map, np.uint8, pool.slot_nbytes, start) for pool, start in places
    ]
    channel = Channel("", (CARD.name, CARD.version, CARD.hash), "", 0)
    answer = Frame(channel, HEAD.unpack_from(record), record, bases).asked()
    assert isinstance(answer, Inferred) and answer.model == "m"
    taken = arrays_of(answer.tensors)
    assert list(taken) == list(given_)
    assert all((taken[name] == given_[name]).all() for name in given_)
    del answer, taken, bases
    pools.close()


@pytest.mark.parametrize("lengths", [{3: 0}, b"\x03", "3", 3, None, [[3]], [-3], [None]])
def test_only_a_list_of_lengths_is_a_shape_also_where_one_like_it_is_known(lengths: object) -> None:
    record = bytes(64)
    (known,) = read_arrays([["|u1", [3], -1, 0]], record, 16, ())
    assert known.shape == (3,)
    with pytest.raises(MessageError, match="array 1 is not"):
        read_arrays([["|u1", [3], -1, 0], ["|u1", lengths, -1, 0]], record, 16, ())


@pytest.mark.parametrize(
    "place", [(0, 0), (-2, 0), (-1, 46), (-1, -1), (None, 0), (-1, "0"), (1.0, 0)]
)
def test_an_array_lies_where_there_is_something(place: tuple[object, object]) -> None:
    with pytest.raises(MessageError, match="array 0"):
        read_arrays([["|u1", [3], *place]], bytes(64), 16, ())


@pytest.fixture
async def buses(tmp_path: Path) -> AsyncIterator[tuple[Bus, Bus]]:
    with open_door(tmp_path / "s"):
        here, there = (Bus(SystemClock(), host=host, door=tmp_path / "s") for host in "ab")
        yield here, there
        await here.close()
        await there.close()


async def test_each_question_waits_for_as_long_as_it_may(buses: tuple[Bus, Bus]) -> None:
    here, there = buses
    release = asyncio.Event()

    async def patient(_: Empty) -> Empty:
        await release.wait()
        return Empty()

    there.serve("patient", Empty, patient)
    while here.near is None or here.near.known_server_of("patient") is None:
        await asyncio.sleep(0.002)
    long = asyncio.create_task(here.call("patient", Empty(), timeout_s=60))
    hurried = [asyncio.create_task(here.call("patient", Empty(), timeout_s=s)) for s in (0.2, 0.1)]
    given_up = await asyncio.gather(*hurried, return_exceptions=True)
    assert [type(error) for error in given_up] == [BusError] * 2
    assert [str(error).rsplit(" ", 2)[1] for error in given_up] == ["0.2", "0.1"]
    with pytest.raises(
        BusError, match=r"no answer in 0\.05 s"
    ):  # asked when nobody hurries any more
        await here.call("patient", Empty(), timeout_s=0.05)
    assert not long.done()
    release.set()
    assert isinstance(await asyncio.wait_for(long, 20), Empty)


async def test_a_question_asked_after_its_host_is_gone_fails_at_once(
    buses: tuple[Bus, Bus],
) -> None:
    here, there = buses
    there.serve("patient", Empty, lambda _: Empty())
    while here.near is None or here.near.known_server_of("patient") is None:
        await asyncio.sleep(0.01)
    question = here.call("patient", Empty(), Empty, timeout_s=60)  # its host is chosen now
    await there.close()
    while here.near.known_server_of("patient") is not None:
        await asyncio.sleep(0.01)
    with pytest.raises(BusError, match="patient: its host b is gone"):
        await asyncio.wait_for(question, 20)


async def test_a_host_that_answers_too_much_already_refuses(buses: tuple[Bus, Bus]) -> None:
    here, there = buses
    begun, release = 0, asyncio.Event()

    async def patient(_: Empty) -> Empty:
        nonlocal begun
        begun += 1
        await release.wait()
        return Empty()

    there.serve("patient", Empty, patient)
    while here.near is None or here.near.known_server_of("patient") is None:
        await asyncio.sleep(0.002)
    calls = [
        asyncio.create_task(here.call("patient", Empty(), timeout_s=60)) for _ in range(MAX_CALLS)
    ]
    async with asyncio.timeout(20):
        while begun < MAX_CALLS:
            await asyncio.sleep(0.002)
    with pytest.raises(ServiceError, match="256 calls are being answered; try later"):
        await here.call("patient", Empty(), timeout_s=20)
    release.set()
    answers = await asyncio.wait_for(asyncio.gather(*calls), 20)
    assert all(isinstance(answer, Empty) for answer in answers)
    assert isinstance(await here.call("patient", Empty(), timeout_s=20), Empty)
