"""Questions of another host that are answered from where they are read, without a task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path

import numpy as np
import pytest

from olympus.runtime.bus import Bus
from olympus.runtime.bus.ipc import open_door
from olympus.runtime.bus.ipc.pool import MOST_SLOTS
from olympus.runtime.bus.loop import BusLoop
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import ConfigError, MessageError, ServiceError
from olympus.runtime.messages import Ack, Command, Empty, Image, Message

CLOCK = SystemClock()
Work = Callable[[Bus, Bus], Awaitable[None]]


def run(door: Path, work: Work) -> None:
    """Have two hosts in a loop as hosts have it, one to ask and one to serve."""

    async def both() -> None:
        here, there = Bus(CLOCK, host="a", door=door), Bus(CLOCK, host="b", door=door)
        assert here.near is not None
        while not here.near.pairs():
            await asyncio.sleep(0.001)
        try:
            await work(here, there)
        finally:
            await here.close()
            await there.close()

    with open_door(door), asyncio.Runner(loop_factory=BusLoop) as runner:
        runner.run(both())


class Desk:
    """A service that answers some words at once, and notes which way it was asked."""

    def __init__(self, bus: Bus) -> None:
        self.ways: list[str] = []
        self.left: list[str] = []
        """What was done after an answer had been sent."""
        bus.serve("desk", Command, self.answer, response=Ack, at_once=self.answer_at_once)

    async def answer(self, command: Command) -> Ack:
        assert asyncio.current_task() is not None
        self.ways.append("in turn")
        return Ack(ok=True, text=command.text)

    def answer_at_once(self, command: Command) -> Generator[Message, None, None]:
        assert asyncio.current_task() is None
        self.ways.append("at once")
        match command.verb:
            case "later":
                return
            case "refuse":
                raise ConfigError("say something else")
            case "break":
                raise KeyError("lost")
        try:
            yield Empty() if command.verb == "lie" else Ack(ok=True, text=command.text)
        finally:
            self.left.append(command.text)
            if command.verb == "stumble":
                raise ConfigError("too late to say so")


async def ask(bus: Bus, verb: str, text: str = "hi") -> str:
    return (await bus.call("desk", Command(text=text, verb=verb), Ack, timeout_s=20)).text


def test_a_question_that_comes_alone_is_answered_at_once_where_that_is_possible(
    tmp_path: Path,
) -> None:
    async def work(here: Bus, there: Bus) -> None:
        desk = Desk(there)
        await ask(here, "")  # the first one may come together with who says that it is there
        desk.ways.clear()
        for number in range(5):
            assert await ask(here, "", str(number)) == str(number)
        assert desk.ways == ["at once"] * 5
        assert desk.left[-5:] == ["0", "1", "2", "3", "4"]
        desk.ways.clear()
        assert await ask(here, "later") == "hi"
        assert desk.ways == ["at once", "in turn"]

    run(tmp_path / "door", work)


@pytest.mark.parametrize(
    ("verb", "cls", "said"),
    [
        ("refuse", ConfigError, "desk: say something else"),
        ("break", ServiceError, "the service failed: KeyError: 'lost'"),
        ("lie", MessageError, "desk answered Empty where Ack is needed"),
    ],
)
def test_what_fails_at_once_comes_back_as_an_error(
    tmp_path: Path, verb: str, cls: type[Exception], said: str
) -> None:
    async def work(here: Bus, there: Bus) -> None:
        desk = Desk(there)
        await ask(here, "")
        desk.ways.clear()
        with pytest.raises(cls, match=said):
            await ask(here, verb)
        assert desk.ways == ["at once"]
        with pytest.raises(MessageError, match="desk takes Command, not Empty"):
            await here.call("desk", Empty(), timeout_s=20)
        assert await ask(here, "") == "hi"

    run(tmp_path / "door", work)


def test_what_is_left_to_do_once_an_answer_is_sent_is_done_whatever_becomes_of_it(
    tmp_path: Path,
) -> None:
    async def work(here: Bus, there: Bus) -> None:
        desk = Desk(there)
        await ask(here, "")
        desk.left.clear()
        with pytest.raises(MessageError):
            await ask(here, "lie", "1")
        assert desk.left == ["1"]
        assert await ask(here, "stumble", "2") == "2"  # its answer was on its way before
        assert await ask(here, "", "3") == "3"
        assert desk.left == ["1", "2", "3"]
        loop = asyncio.get_running_loop()
        assert isinstance(loop, BusLoop)
        assert loop.failures == 1

    run(tmp_path / "door", work)


def test_of_several_questions_that_come_together_each_has_its_turn(tmp_path: Path) -> None:
    async def work(here: Bus, there: Bus) -> None:
        desk = Desk(there)
        await ask(here, "")
        desk.ways.clear()
        texts = [str(number) for number in range(20)]
        assert await asyncio.gather(*(ask(here, "", text) for text in texts)) == texts
        assert desk.ways == ["in turn"] * 20

    run(tmp_path / "door", work)


def test_a_question_for_which_something_else_would_have_to_wait_has_its_turn(
    tmp_path: Path,
) -> None:
    async def work(here: Bus, there: Bus) -> None:
        desk = Desk(there)
        await ask(here, "")
        desk.ways.clear()
        loop, is_over = asyncio.get_running_loop(), False

        def go_on() -> None:
            if not is_over:
                loop.call_soon(go_on)

        go_on()
        assert await ask(here, "") == "hi"
        is_over = True
        assert desk.ways == ["in turn"]

    run(tmp_path / "door", work)


def test_an_answer_for_which_there_is_no_shared_memory_is_sent_once_there_is(
    tmp_path: Path,
) -> None:
    async def work(here: Bus, there: Bus) -> None:
        picture = np.full((100, 100, 3), 7, np.uint8)
        was_asked = asyncio.Event()

        def at_once(_: Empty) -> Generator[Image, None, None]:
            was_asked.set()
            yield Image(data=picture)

        async def answer(_: Empty) -> Image:
            return Image(data=picture)

        there.serve("picture", Empty, answer, response=Image, at_once=at_once)
        assert (await here.call("picture", Empty(), Image, timeout_s=20)).data[0, 0, 0] == 7
        was_asked.clear()
        rooms = [there.loan(picture.shape, np.uint8) for _ in range(MOST_SLOTS)]
        assert there.near is not None and there.near.pools.held() == MOST_SLOTS
        asking = asyncio.create_task(here.call("picture", Empty(), Image, timeout_s=20))
        await was_asked.wait()
        await asyncio.sleep(0.02)
        assert not asking.done()
        rooms.clear()
        assert (await asking).data.tobytes() == picture.tobytes()

    run(tmp_path / "door", work)
