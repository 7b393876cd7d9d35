"""Packets that lie in a board while the reader is awake: all arrive, and in order."""

from __future__ import annotations

import contextlib
import mmap
import os
import random
import select
import signal
import socket
import struct
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from olympus.runtime.bus.ipc.board import AWAKE, BERTHS, NBYTES, TAKEN_IN
from olympus.runtime.bus.ipc.wire import make_wire
from olympus.runtime.bus.selector import PromptSelector
from olympus.runtime.quick import quick, why_not

pytestmark = [
    pytest.mark.skipif(quick is None, reason=f"no C here: {why_not}"),
    pytest.mark.timeout(60),
]
BERTH = 16_384
"""Bytes of one, its number and length among them."""
MOST = BERTH - 16
COUNT = 100_000
ASK, ANSWER = b"\x02" * 60, b"\x03" * 60


class Side:
    """One of two hosts: its wire, its board, and what it has taken in."""

    def __init__(self, data: socket.socket, memory: bytearray | mmap.mmap | None = None) -> None:
        data.setblocking(False)
        self.data, self.came = data, list[bytes]()
        self.touched: dict[int, Any] = {}
        self.is_over = False
        self.memory = bytearray(NBYTES) if memory is None else memory
        self.cells = memoryview(self.memory).cast("Q")
        self.wire: Any = make_wire(self, data, self.cells, threading.Lock(), None)
        self.selector = PromptSelector(spin_s=0.001)
        self.selector.set_prompt(data.fileno(), self.wire.read)
        self.selector.wires.append(self.wire)
        self.on_came: Callable[[], None] = lambda: None

    def on_record(self, record: bytes | memoryview, later: bool) -> None:
        """Keep it."""
        self.came.append(bytes(record))
        self.on_came()

    def on_many(self, packet: bytes) -> int:
        """Keep it."""
        self.came.append(packet)
        return 100

    def on_batch(self) -> None:
        """Wait for nothing."""

    def on_error(self, number: int) -> bool:
        """End it."""
        return False

    def close(self) -> None:
        """End it."""
        self.is_over = True
        self.wire.close()

    def note_end(self) -> None:
        """End it."""
        self.is_over = True

    def look(self, seconds: float = 0.0) -> list[tuple[int, int]]:
        """Be awake for a while; returns what is told."""
        assert quick is not None
        until_s = time.monotonic() + seconds
        found: list[tuple[int, int]] = quick.events_awake(
            self.selector._epoll, [self.wire], until_s
        )
        return found

    def waiting(self) -> int:
        """Return how many packets the socket holds, which are thrown away."""
        count = 0
        while select.select([self.data], [], [], 0)[0]:
            self.data.recv(65_536)
            count += 1
        return count


@pytest.fixture
def sides() -> Iterator[tuple[Side, Side]]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        here, there = Side(near), Side(far)
        here.wire.meet(memoryview(there.memory).toreadonly().cast("Q"))
        there.wire.meet(memoryview(here.memory).toreadonly().cast("Q"))
        yield here, there
        for side in (here, there):
            side.wire.close()
            side.selector.close()


def record(number: int, nbytes: int = 60) -> bytes:
    """Return something that is told by its number."""
    return struct.pack("<BI", 1, number).ljust(nbytes, b"\x07")


def lay(here: Side, there: Side, *sent: bytes) -> None:
    """Send while the other side is awake, so that it lies in the board as far as there is room."""
    there.cells[AWAKE] = 1
    for one in sent:
        assert here.wire.post(one)
    there.cells[AWAKE] = 0


def test_a_packet_for_who_is_awake_takes_no_socket(sides: tuple[Side, Side]) -> None:
    here, there = sides
    lay(here, there, record(1))
    assert there.look() == [(there.data.fileno(), select.EPOLLIN)]
    there.wire.read()
    assert there.came == [record(1)]
    assert (there.waiting(), there.cells[TAKEN_IN], there.look()) == (0, 1, [])


def test_who_is_not_awake_is_told_by_the_socket(sides: tuple[Side, Side]) -> None:
    here, there = sides
    assert here.wire.post(record(1))
    assert there.waiting() == 1


def test_what_is_longer_than_a_berth_or_finds_none_free_takes_the_socket(
    sides: tuple[Side, Side],
) -> None:
    here, there = sides
    there.cells[AWAKE] = 1
    lengths = [MOST, MOST + 1, 60, *[60] * BERTHS, 60]
    sent = [record(number, nbytes) for number, nbytes in enumerate(lengths)]
    for one in sent:
        assert here.wire.post(one)
    there.wire.read()
    assert there.came == sent
    for one in sent:
        assert here.wire.post(one)
    # The second is too long; the other three berths are taken by those around it.
    assert there.waiting() == 1 + len(sent) - BERTHS


def test_one_that_falls_asleep_meanwhile_is_woken(sides: tuple[Side, Side]) -> None:
    here, there = sides
    lay(here, there, *map(record, range(3)))
    there.look()
    here.data.send(b"\xfe")  # what the sender does that finds it asleep
    assert select.select([there.data], [], [], 0)[0]
    there.wire.read()
    assert there.came == [record(number) for number in range(3)]
    there.wire.read()
    assert (there.waiting(), there.wire.received) == (0, 3), "a nudge is no packet"


def test_one_that_falls_asleep_while_it_is_sent_to_is_woken(sides: tuple[Side, Side]) -> None:
    here, there = sides
    board = mmap.mmap(-1, NBYTES)
    cells = memoryview(board).cast("Q")
    here.wire.meet(cells)
    pid = os.fork()
    if not pid:  # falls asleep and wakes some million times a second
        while True:
            cells[AWAKE] = 1
            cells[AWAKE] = 0
    try:
        seen, sent = set[tuple[int, int]](), 0
        while len(seen) < 3:
            assert here.wire.post(record(sent))
            sent += 1
            number, nbytes = struct.unpack_from(
                "<QQ", here.memory, 2048 * 8 + sent % BERTHS * BERTH
            )
            told = len(there.data.recv(100)) if select.select([there.data], [], [], 0)[0] else 0
            seen.add((nbytes if number == sent else 0, told))
            cells[TAKEN_IN] = sent
        assert seen == {(60, 0), (60, 1), (0, 60)}
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        here.wire.meet(memoryview(there.memory).toreadonly().cast("Q"))


def test_what_lies_in_the_board_is_read_also_after_many(sides: tuple[Side, Side]) -> None:
    here, there = sides
    many, sent = b"\xff" + bytes(60), [record(number) for number in range(BERTHS - 1)]
    assert here.wire.post(many)
    lay(here, there, *sent)
    there.wire.read()
    # That was more than is read at a time, but of a board the kernel doesn't tell again.
    assert there.came == [many, *sent]


def test_the_second_of_two_is_read_though_its_number_is_told_late(
    sides: tuple[Side, Side],
) -> None:
    here, there = sides
    lay(here, there, *map(record, range(2)))
    here.cells[0] = 1  # as a processor may show it that writes in another order
    there.wire.read()
    assert there.came == [record(0), record(1)]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_lies_behind_one_that_fails_is_read_without_being_told_of(
    sides: tuple[Side, Side], error: type[BaseException]
) -> None:
    here, there = sides
    lay(here, there, *map(record, range(3)))

    def fail() -> None:
        there.on_came = lambda: None
        raise error

    there.on_came = fail
    there.selector.expect_soon(time.monotonic())
    with contextlib.suppress(KeyboardInterrupt):
        there.selector.select(10.0)
    assert there.came == [record(0)]
    there.selector.select(0)  # other callbacks come first, and may take their time
    time.sleep(there.selector.soon_s)
    there.selector.select(10.0)
    assert there.came == [record(number) for number in range(3)]


def test_what_was_sent_before_the_end_is_read_before_the_end(sides: tuple[Side, Side]) -> None:
    here, there = sides
    there.cells[AWAKE] = 1
    assert here.wire.post(record(1))
    here.data.close()
    there.cells[AWAKE] = 0
    while not there.is_over:
        there.wire.read()
    assert there.came == [record(1)]


@pytest.mark.parametrize("nbytes", [0, MOST + 1, 2**63, 2**64 - 1])
def test_a_berth_that_lies_about_its_length_is_one_bad_record(
    sides: tuple[Side, Side], nbytes: int
) -> None:
    here, there = sides
    struct.pack_into("<QQ", here.memory, 2048 * 8 + BERTH, 1, nbytes)
    there.wire.read()
    assert [len(one) for one in there.came] == [1]


def test_who_writes_without_being_asked_keeps_nobody_from_the_rest(
    sides: tuple[Side, Side],
) -> None:
    here, there = sides

    def next_one() -> None:
        number = len(there.came) + 1
        place = 2048 * 8 + number % BERTHS * BERTH
        struct.pack_into("<QQB", here.memory, place, number, 1, 1)

    next_one()
    there.on_came = next_one
    there.wire.read()
    assert 1 <= len(there.came) <= 200
    there.on_came = lambda: None
    there.wire.read()
    count = 0
    with contextlib.suppress(BlockingIOError):
        while here.data.send(b"\xfe"):
            count += 1
    there.wire.read()
    assert 0 < there.waiting() < count


def test_boards_without_berths_are_not_looked_into(sides: tuple[Side, Side]) -> None:
    here, there = sides
    for short in (8, 8 * (AWAKE + 1), NBYTES - 8):
        there.wire.meet(memoryview(bytearray(short)).cast("Q"))
        assert there.look() == []
        there.wire.post(record(1))
        assert here.waiting() == 1


def exchange(side: Side, draw: random.Random) -> None:
    """Send bursts, each when the other side has answered the one before, and answer its own."""
    sent = asked = answers = 0
    numbers: list[int] = []
    is_over = False
    while not is_over or answers < asked or sent < COUNT:
        if answers == asked and sent < COUNT:
            for _ in range(min(COUNT - sent, draw.randint(1, BERTHS + 1))):
                nbytes = draw.choice([60, 60, 60, 3000, MOST + 100])
                assert side.wire.post(record(sent, nbytes))
                sent += 1
            assert side.wire.post(ASK)
            asked += 1
        now_s = time.monotonic()
        side.selector._awake_until_s = now_s + draw.random() * draw.choice([0.00002, 0.0002])
        side.selector.select(20.0)
        assert time.monotonic() - now_s < 10, "what has come was not told of"
        for one in side.came:
            if one == ASK:
                assert side.wire.post(ANSWER)
                is_over = len(numbers) == COUNT
            elif one == ANSWER:
                answers += 1
            else:
                numbers.append(struct.unpack_from("<BI", one)[1])
        side.came.clear()
    assert numbers == list(range(COUNT))


def test_all_arrive_in_order_whoever_sleeps_when() -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    boards = [mmap.mmap(-1, NBYTES) for _ in range(2)]
    pid = os.fork()
    number = 1 if pid == 0 else 0
    try:
        side = Side((near, far)[number], boards[number])
        side.wire.meet(memoryview(boards[1 - number]).cast("Q"))
        exchange(side, random.Random(number))
    except BaseException:
        if not pid:
            traceback.print_exc()
            os._exit(1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    if not pid:
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    side.wire.close()
    side.selector.close()
    near.close()
    far.close()


def test_what_came_when_a_signal_was_raised_is_found_by_the_next_look(
    sides: tuple[Side, Side],
) -> None:
    here, there = sides

    class StopError(Exception):
        pass

    def stop(*_: object) -> None:
        raise StopError

    def signal_and_post() -> None:
        while not there.cells[AWAKE]:
            time.sleep(0)
        signal.raise_signal(signal.SIGALRM)  # which Python hears of when it is no longer awake
        here.wire.post(record(1))

    before = signal.signal(signal.SIGALRM, stop)
    try:
        now_s = time.monotonic()
        there.selector.expect_soon(now_s + 0.5)
        with ThreadPoolExecutor(1) as pool, pytest.raises(StopError):
            work = pool.submit(signal_and_post)
            there.selector.select(20.0)
        work.result()
    finally:
        signal.signal(signal.SIGALRM, before)
    time.sleep(max(0.0, now_s + 0.6 - time.monotonic()))
    there.selector.select(5.0)
    assert there.came == [record(1)]
