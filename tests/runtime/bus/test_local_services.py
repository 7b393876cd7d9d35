"""Services within one host: they answer, and fail as an error that says why."""

import asyncio

import pytest

from olympus.runtime.bus import Bus
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import BusError, ConfigError
from olympus.runtime.messages import Ack, Command, Empty


async def test_a_service_answers() -> None:
    bus = Bus(SystemClock())

    async def echo(command: Command) -> Ack:
        return Ack(ok=True, text=command.text)

    bus.serve("echo", Command, echo)
    answer = await bus.call("echo", Command(text="hi", verb=""))
    assert isinstance(answer, Ack)
    assert answer.text == "hi"
    await bus.close()


async def test_a_slow_service_and_an_unknown_one_end_in_clear_errors() -> None:
    bus = Bus(SystemClock())

    async def never(_: Empty) -> Ack:
        await asyncio.Event().wait()
        return Ack(ok=False)

    bus.serve("slow", Empty, never)
    with pytest.raises(BusError, match=r"no answer in 0.01 s"):
        await bus.call("slow", Empty(), timeout_s=0.01)
    with pytest.raises(BusError, match="did you mean 'slow'"):
        await bus.call("slew", Empty())
    with pytest.raises(BusError, match="served already"):
        bus.serve("slow", Empty, never)
    await bus.close()


@pytest.mark.parametrize("failing", [ZeroDivisionError, TimeoutError, asyncio.CancelledError])
async def test_a_failing_service_is_a_bus_error_for_who_asks(failing: type[Exception]) -> None:
    bus = Bus(SystemClock())

    def fail(_: Empty) -> Ack:
        raise failing

    bus.serve("bad", Empty, fail)
    with pytest.raises(BusError, match="bad: "):
        await bus.call("bad", Empty())
    with pytest.raises(BusError, match="bad: service bad takes Empty"):
        await bus.call("bad", Ack(ok=True))
    await bus.close()


@pytest.mark.parametrize("name", ["", "**", "rover/*", "a//b", "rover/$*"])
async def test_a_question_goes_to_one_service_by_its_name(name: str) -> None:
    with pytest.raises(ConfigError, match="not usable"):
        await Bus(SystemClock()).call(name, Empty())
