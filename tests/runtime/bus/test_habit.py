"""Waiting awake for an answer: learnt from how long the ones before took."""

from __future__ import annotations

import asyncio
import itertools
import math
import select
import selectors
import socket
import time
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from olympus.runtime.bus import Bus
from olympus.runtime.bus.alertness import NAP_S
from olympus.runtime.bus.crowd import LOOKS_BACK, SHORTEST_S, Crowd
from olympus.runtime.bus.habit import EARLY_S, Habit
from olympus.runtime.bus.ipc import calls, open_door
from olympus.runtime.bus.loop import BusLoop, selector_of
from olympus.runtime.bus.selector import SOON, Look, PromptSelector, look_again
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import BusError
from olympus.runtime.messages import Empty
from olympus.runtime.messages.inference import Completed, Prompt
from olympus.runtime.qos import Tier
from olympus.runtime.quick import quick

MOST_S = 0.0005
LOOKS: list[Look] = [look_again, *([quick.events_awake] if quick is not None else [])]
either_way = pytest.mark.parametrize("look", LOOKS)
"""In Python, and in C where that is built."""


def told(*took_s: float) -> tuple[float, float] | None:
    """Return what a habit says after some answers."""
    habit = Habit(MOST_S)
    for one_s in took_s:
        habit.note(one_s)
    return habit.window()


def test_it_is_known_when_the_next_answer_is_due_once_eight_took_nearly_the_same_time() -> None:
    assert told(*[0.001] * 7) is None
    assert told(*[0.001] * 8) == (0.001 - EARLY_S, 0.001 + EARLY_S)
    spread = [0.001 + 0.00002 * number for number in range(8)]
    assert told(*spread) == (spread[1] - EARLY_S, spread[6] + EARLY_S)


def test_one_that_was_slower_and_one_that_was_quicker_say_nothing() -> None:
    assert told(0.2, 0.0001, *[0.001] * 6) == told(*[0.001] * 8)


def test_of_answers_that_are_further_apart_the_earlier_half_is_waited_for_awake() -> None:
    spread = [0.001 + 0.0001 * number for number in range(8)]
    assert told(*spread) == (spread[1] - EARLY_S, spread[1] - EARLY_S + MOST_S)


def test_answers_that_come_as_they_like_are_waited_for_asleep() -> None:
    assert told(*[0.001 + 0.0002 * number for number in range(8)]) is None
    apart = [0.001] * 4 + [0.003] * 4  # only three of them would be met, as the quickest is luck
    assert told(*apart) is None


def test_for_an_answer_that_comes_at_once_there_is_no_time_to_sleep() -> None:
    assert told(*[2 * EARLY_S] * 8) is None
    assert told(*[2 * EARLY_S + 0.00001] * 8) is not None


def test_only_the_last_eight_count() -> None:
    assert told(*[0.3, 0.1] * 20, *[0.001] * 8) == told(*[0.001] * 8)


SOON_S = 0.003


def is_soon(*took_s: float) -> bool:
    """Return what a habit says after some answers."""
    habit = Habit(MOST_S, SOON_S)
    for one_s in took_s:
        habit.note(one_s)
    return habit.is_soon


def test_answers_that_took_less_than_a_while_come_soon_one_may_not() -> None:
    assert is_soon(*[0.001, SOON_S] * 4)
    assert is_soon(*[0.001] * 7, 1.0)
    assert not is_soon(*[0.001] * 6, 1.0, 1.0)
    assert not is_soon(*[0.001] * 7), "too few to tell"
    assert is_soon(*[1.0] * 20, *[0.001] * 8)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in (near, far):
        end.setblocking(False)
    with near, far:
        yield near, far


class Noted:
    """Notes from when until when it was looked again and again."""

    def __init__(self, look: Look) -> None:
        self.times_s: list[tuple[float, float]] = []
        self._look = look

    def __call__(
        self, epoll: select.epoll, wires: list[object], until_s: float, from_s: float = 0.0
    ) -> list[tuple[int, int]]:
        self.times_s.append((from_s, until_s))
        return self._look(epoll, wires, until_s, from_s)


@either_way
def test_it_sleeps_until_something_is_due_is_awake_for_it_and_sleeps_again(look: Look) -> None:
    selector = PromptSelector(spin_s=MOST_S)
    selector.look = noted = Noted(look)
    try:
        begun_s = time.monotonic()
        due_s = begun_s + 0.02, begun_s + 0.03
        selector.expect(*due_s)
        assert selector.select(0.05) == []
        assert noted.times_s == [due_s] and time.monotonic() >= begun_s + 0.05
        selector.select(0.001)
        assert noted.times_s == [due_s]  # once
    finally:
        selector.close()


@either_way
def test_a_timer_that_is_due_before_is_not_late_for_it(look: Look) -> None:
    selector = PromptSelector(spin_s=MOST_S)
    selector.look = noted = Noted(look)
    try:
        begun_s = time.monotonic()
        selector.expect(begun_s + 100, begun_s + 200)
        assert selector.select(0.002) == []
        assert begun_s + 0.002 <= time.monotonic() < begun_s + 50
        assert noted.times_s[0][0] == noted.times_s[0][1] < begun_s + 50
    finally:
        selector.close()


@either_way
def test_what_comes_before_it_is_due_is_found_at_once(
    ends: tuple[socket.socket, socket.socket], look: Look
) -> None:
    near, far = ends
    selector = PromptSelector(spin_s=MOST_S)
    selector.look = look
    came: list[bytes] = []
    try:
        selector.register(far, selectors.EVENT_READ, "other")
        selector.set_prompt(near.fileno(), lambda: came.append(near.recv(100)))
        far.send(b"x")
        now_s = time.monotonic()
        selector.expect(now_s + 100, now_s + 200)
        assert selector.select(None) == [] and came == [b"x"]
        # The bus brought something: nothing is expected any more.
        selector.look = noted = Noted(look)
        selector.select(0.001)
        assert noted.times_s == []
    finally:
        selector.close()


def alone() -> Crowd:
    """Return what says that nobody else wants the core."""
    return Crowd(lambda: (0, 0.0), lambda: False)


def test_who_is_awake_no_more_takes_back_that_its_core_is_crowded() -> None:
    selector, told = PromptSelector(spin_s=MOST_S), list[bool]()
    selector.on_crowd.append(told.append)
    selector._crowd = crowd = alone()
    crowd._away_until_s = math.inf
    try:
        selector.expect_soon(time.monotonic())
        selector.select(0.001)
        assert told == [True]
        time.sleep(selector.soon_s)
        selector.select(0.001)  # from now on nothing is waited for awake
        crowd._away_until_s = 0.0
        selector.select(0.001)
        assert told == [True, False]
    finally:
        selector.close()


@either_way
def test_for_what_comes_soon_it_is_awake_from_the_beginning_but_not_for_long(look: Look) -> None:
    selector = PromptSelector(spin_s=MOST_S)
    selector.look, selector._crowd = (noted := Noted(look)), alone()
    try:
        begun_s = time.monotonic()
        selector.expect(begun_s + 10, begun_s + 20)  # which it knows too, and does not need
        selector.expect_soon(begun_s)
        assert selector.select(0.05) == []
        ((from_s, until_s),) = noted.times_s
        assert until_s == begun_s + SOON * MOST_S and begun_s <= from_s < until_s
        assert time.monotonic() >= begun_s + 0.05
    finally:
        selector.close()


@either_way
def test_what_the_bus_brings_ends_the_wait_for_what_comes_soon(
    ends: tuple[socket.socket, socket.socket], look: Look
) -> None:
    near, far = ends
    selector = PromptSelector(spin_s=1.0)
    selector.look, selector._crowd = look, alone()
    came: list[bytes] = []
    try:
        selector.set_prompt(near.fileno(), lambda: came.append(near.recv(100)))
        far.send(b"x")
        selector.expect_soon(time.monotonic())
        assert selector.select(None) == [] and came == [b"x"]
        selector.look = noted = Noted(look)
        selector.select(0.001)
        assert noted.times_s == []
    finally:
        selector.close()


def test_it_sleeps_once_in_a_while_though_all_comes_soon(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    near, far = ends
    selector = PromptSelector(spin_s=0.01)
    selector.look, selector._crowd = (noted := Noted(look_again)), alone()
    selector.set_prompt(near.fileno(), lambda: near.recv(100))
    due: list[int] = []
    try:
        begun_s = time.monotonic()
        while len(due) < 2:
            assert time.monotonic() < begun_s + 30
            far.send(b"x")
            now_s = time.monotonic()
            selector.expect(now_s + 5, now_s + 6)
            selector.expect_soon(now_s)
            selector._awake_until_s = 0.0  # what follows closely is not what this is about
            selector.select(None)
            if noted.times_s[-1] == (now_s + 5, now_s + 6):
                due.append(round((now_s - begun_s) / NAP_S))
        assert due[0] >= 1 and due[1] >= due[0] + 1
    finally:
        selector.close()


def test_on_a_core_that_others_want_it_sleeps() -> None:
    selector = PromptSelector(spin_s=0.01)
    switches, told = itertools.count(), list[bool]()
    selector.on_crowd.append(told.append)
    selector.look, selector._crowd = (
        (noted := Noted(look_again)),
        Crowd(lambda: (next(switches), 0.0), lambda: False),
    )
    try:
        for _ in range(LOOKS_BACK + 20):
            selector.expect_soon(time.monotonic())
            selector.select(2 * SHORTEST_S)
            selector._has_slept = False  # as if it had come in time
        assert len(noted.times_s) == LOOKS_BACK
        assert told == [True]
        selector._crowd = alone()
        selector.expect_soon(time.monotonic())
        selector.select(2 * SHORTEST_S)
        assert told == [True, False]
    finally:
        selector.close()


def test_a_realtime_thread_sleeps_until_shortly_before_once_it_was_awake_for_its_share() -> None:
    selector = PromptSelector(spin_s=0.001)
    selector.look = noted = Noted(look_again)
    selector._crowd = Crowd(lambda: (0, 0.0), lambda: True)
    try:
        dues: list[tuple[float, float]] = []
        while not dues or dues[-1] != noted.times_s[-1]:
            assert len(dues) < 1000
            now_s = time.monotonic()
            dues.append((now_s + 0.0001, now_s + 0.0002))
            selector.expect(*dues[-1])
            selector.expect_soon(now_s)
            selector.select(0.0003)
        assert len(dues) > 1
        # What is found by other means takes nothing of the share.
        selector._crowd = Crowd(lambda: (0, 0.0), lambda: True)
        selector._has_slept, began_s = False, time.monotonic()
        near, far = socket.socketpair()
        selector.set_prompt(near.fileno(), lambda: near.recv(1))
        with near, far:
            for _ in range(200):
                far.send(b"x")
                now_s = time.monotonic()
                selector._awake_until_s = now_s + 1.0
                selector.expect_soon(now_s)
                selector.select(None)
        assert selector._crowd.has_share(began_s)
    finally:
        selector.close()


def test_who_may_never_be_awake_expects_nothing() -> None:
    selector = PromptSelector()
    selector.look = noted = Noted(look_again)
    try:
        selector.expect(0.0, time.monotonic() + 100)
        selector.expect_soon(time.monotonic() + 100)
        selector.select(0.001)
        assert noted.times_s == []
    finally:
        selector.close()


class Known(Habit):
    """Always says the same."""

    def __init__(self) -> None:
        super().__init__(MOST_S)
        self.most_s = 0.0
        self.noted = 0
        self.note = self.count

    def count(self, took_s: float) -> None:
        """Count."""
        self.noted += 1
        self.most_s = max(self.most_s, took_s)

    def window(self) -> tuple[float, float] | None:
        """Return a time that is nearly right."""
        return 0.001, 0.003


def with_two_hosts(
    door: Path, work: Callable[[Bus, Bus], Coroutine[Any, Any, None]], spin_s: float
) -> None:
    """Let two hosts of one loop meet, work, and go; they leave nothing behind."""

    async def live() -> None:
        here, there = hosts = [Bus(SystemClock(), host=host, door=door) for host in "ab"]
        selector = selector_of(asyncio.get_running_loop())
        assert selector is not None
        try:
            while not all(host.near is not None and host.near.pairs() for host in hosts):
                await asyncio.sleep(0.001)
            await work(here, there)
        finally:
            await here.close()
            await there.close()
        assert selector.on_crowd == []

    with (
        open_door(door),
        asyncio.Runner(loop_factory=partial(BusLoop, spin_s=spin_s)) as runner,
    ):
        runner.run(live())


@pytest.mark.parametrize("spin_s", [0.0, MOST_S])
def test_an_answer_is_expected_only_where_hosts_may_be_awake(tmp_path: Path, spin_s: float) -> None:
    async def work(here: Bus, there: Bus) -> None:
        selector = selector_of(asyncio.get_running_loop())
        assert here.near is not None and selector is not None
        expected: list[tuple[float, float]] = []
        expect = selector.expect

        def noted(from_s: float, until_s: float) -> None:
            expected.append((from_s, until_s))
            expect(from_s, until_s)

        selector.expect = noted  # type: ignore[method-assign]
        habit = here.near.calls._habits["slow", ""] = Known()

        async def answer(_: Empty) -> Empty:
            await asyncio.sleep(0.002)
            return Empty()

        there.serve("slow", Empty, answer, response=Empty)
        for _ in range(20):
            await here.call("slow", Empty(), Empty, timeout_s=20)
        assert len(expected) == habit.noted == (20 if spin_s else 0)
        assert all(until_s - from_s == pytest.approx(0.002) for from_s, until_s in expected)

    with_two_hosts(tmp_path / "door", work, spin_s)


def test_who_asks_on_a_host_whose_core_is_crowded_leaves_its_own_to_others(tmp_path: Path) -> None:
    async def work(here: Bus, there: Bus) -> None:
        selector = selector_of(asyncio.get_running_loop())
        assert here.near is not None and selector is not None
        expected: list[float] = []

        def noted(since_s: float) -> None:
            expected.append(since_s)

        selector.expect_soon = noted  # type: ignore[method-assign]
        habit = here.near.calls._habits["quick", ""] = Habit(MOST_S, 1000.0)
        for _ in range(8):
            habit.note(1.0)
        there.serve("quick", Empty, lambda _: Empty(), response=Empty)
        counts = []
        for is_crowded in (False, True, False):
            for tell in selector.on_crowd:
                tell(is_crowded)
            await here.call("quick", Empty(), Empty, timeout_s=20)
            counts.append(len(expected))
        assert counts == [1, 1, 2]

    with_two_hosts(tmp_path / "door", work, MOST_S)


def test_what_was_waited_for_in_vain_is_known_too(tmp_path: Path) -> None:
    async def work(here: Bus, there: Bus) -> None:
        assert here.near is not None
        habit = here.near.calls._habits["hung", ""] = Known()

        async def answer(_: Empty) -> Empty:
            await asyncio.sleep(60)
            return Empty()

        there.serve("hung", Empty, answer, response=Empty)
        with pytest.raises(BusError):
            await here.call("hung", Empty(), Empty, timeout_s=0.05)
        task = asyncio.create_task(here.call("hung", Empty(), Empty, timeout_s=60))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert habit.noted == 2 and habit.most_s > 0.09

    with_two_hosts(tmp_path / "door", work, MOST_S)


def test_questions_to_one_service_that_are_not_alike_have_habits_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "MOST_HABITS", 3)

    async def answer(question: Prompt) -> Completed:
        return Completed(answer=question.model)

    async def work(here: Bus, there: Bus) -> None:
        assert here.near is not None
        there.serve("prompt", Prompt, answer, response=Completed)
        habits = here.near.calls._habits
        for number, model in enumerate(["slow", "quick", "slow", "far", "new"]):
            question = Prompt(
                model=model, tier=Tier.LOW, deadline=0, source=str(number), request="{}"
            )
            assert (await here.call("prompt", question, Completed)).answer == model
            if model == "far":
                assert list(habits) == [("prompt", one) for one in ("slow", "quick", "far")]
        assert list(habits) == [("prompt", "new")]  # there are not more and more

    with_two_hosts(tmp_path / "door", work, MOST_S)
