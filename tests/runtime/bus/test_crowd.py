"""Whether others want the core: by how often a thread had to make room, and for how long."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from olympus.runtime.bus.crowd import LOOKS_BACK, LOST, PAUSE_S, SHARE, Crowd, is_realtime, ran

TURN_S = 0.001


class Core:
    """A core on which others take a part of each turn."""

    def __init__(self) -> None:
        self.switches, self.ran_s, self.now_s = 0, 0.0, 1000.0
        self.crowd = Crowd(lambda: (self.switches, self.ran_s), lambda: False)

    def turn(self, part: float, *, switches: int = 1, has_slept: bool = False) -> bool:
        """Let a turn pass of which others have a part; returns what is said after it."""
        self.now_s += TURN_S
        self.ran_s += TURN_S * (1 - part)
        self.switches += switches
        if has_slept:
            self.crowd.slept()
        return self.crowd.is_there(self.now_s)


@pytest.fixture
def core() -> Core:
    made = Core()
    made.turn(0.0, has_slept=True)
    return made


def test_a_core_for_oneself_is_never_crowded(core: Core) -> None:
    assert not any(core.turn(0.0, switches=0) for _ in range(1000))


def test_who_takes_half_of_it_is_noticed_and_left_alone_for_a_while(core: Core) -> None:
    assert [core.turn(0.5) for _ in range(LOOKS_BACK)] == [False] * (LOOKS_BACK - 1) + [True]
    pause = round(PAUSE_S / TURN_S)
    assert all(core.turn(0.0, switches=0) for _ in range(pause - 2))
    assert not any([core.turn(0.0, switches=0) for _ in range(100)][4:])


def test_what_takes_a_little_now_and_then_does_not_matter(core: Core) -> None:
    assert not any(core.turn(0.9 if number % 8 == 0 else 0.05) for number in range(1000))
    assert LOST > (0.9 + 7 * 0.05) / 8


def test_what_makes_nobody_switch_does_not_count(core: Core) -> None:
    assert not any(core.turn(0.9, switches=0) for _ in range(1000))


def test_turns_in_which_it_slept_say_nothing(core: Core) -> None:
    assert not any(core.turn(0.9, has_slept=True) for _ in range(1000))


def test_it_is_not_asked_for_every_message(core: Core) -> None:
    asked = 0

    def ran() -> tuple[int, float]:
        nonlocal asked
        asked += 1
        return asked, 0.0

    crowd = Crowd(ran, lambda: False)
    crowd.is_there(1000.0)
    found = []
    for number in range(1, 101):
        if number == 12:
            crowd.slept()
        found.append(crowd.is_there(1000.0 + number * 0.00011))
    assert asked <= 21
    # Of the interval in which it slept nothing is known, of the others that all was lost.
    assert found.index(True) == (LOOKS_BACK + 1) * 5 - 1


def test_a_realtime_thread_is_awake_for_long_for_a_share_of_the_time() -> None:
    crowd, now_s, spent_s, wait_s = Crowd(lambda: (0, 0.0), lambda: True), 1000.0, 0.0, 0.003
    assert crowd.has_share(now_s)
    for _ in range(20_000):
        now_s += TURN_S
        if crowd.has_share(now_s):
            now_s += wait_s
            spent_s += wait_s
            crowd.spend(wait_s)
    assert spent_s / (now_s - 1000.0) == pytest.approx(SHARE, abs=0.01)
    assert all(crowd.has_share(now_s + number) for number in range(1, 100))  # it is asked only


def test_an_ordinary_thread_may_be_awake_for_long_as_often_as_it_likes() -> None:
    crowd = Crowd(lambda: (0, 0.0), lambda: False)
    for _ in range(100):
        assert crowd.has_share(1000.0)
        crowd.spend(1.0)


@pytest.fixture
def neighbour() -> Iterator[int]:
    """A process without end, on one core with whoever asks for this; returns which."""
    before = os.sched_getaffinity(0)
    core = min(before)
    os.sched_setaffinity(0, {core})
    program = "print(flush=True)\nwhile True: pass"
    busy = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    try:
        assert busy.stdout is not None and busy.stdout.readline()
        yield core
    finally:
        busy.kill()
        busy.communicate()
        os.sched_setaffinity(0, before)


def test_the_kernel_tells_of_an_endless_loop_beside(neighbour: int) -> None:
    if is_realtime():
        pytest.skip("these tests run before all ordinary processes")
    crowd, end_s = Crowd(), time.monotonic() + 30
    while not crowd.is_there(time.monotonic()):
        assert time.monotonic() < end_s
        until_s = time.monotonic() + TURN_S
        while time.monotonic() < until_s:
            os.sched_yield()


def test_it_is_asked_about_the_thread_that_asks() -> None:
    told: list[float] = []

    def work() -> None:
        before, until_s = ran(), time.thread_time() + 0.1
        while time.thread_time() < until_s:
            pass
        told.append(ran()[1] - before[1])

    thread = threading.Thread(target=work)
    before = ran()
    thread.start()
    thread.join()
    assert told[0] > 0.05
    assert ran()[1] - before[1] < 0.05


@pytest.mark.parametrize(
    ("policy", "is_first"),
    [
        (os.SCHED_FIFO, True),
        (os.SCHED_RR | os.SCHED_RESET_ON_FORK, True),
        (os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, False),
        (os.SCHED_BATCH, False),
    ],
)
def test_which_threads_go_before_all_others(
    policy: int, is_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getscheduler", lambda _: policy)
    assert is_realtime() is is_first
