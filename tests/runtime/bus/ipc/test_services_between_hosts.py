"""Services between hosts of one machine: answers, errors, tensors, and who gives up."""

import asyncio

import numpy as np
import pytest
from tests.runtime.bus.ipc.conftest import held

from olympus.runtime.bus import Bus
from olympus.runtime.errors import BusError, ConfigError
from olympus.runtime.messages import Ack, Command, Empty, Header, Image


async def test_a_service_answers_across_hosts_and_its_errors_come_back(
    buses: tuple[Bus, Bus],
) -> None:
    here, there = buses

    def answer(command: Command) -> Ack:
        if not command.text:
            raise ConfigError("say something")
        return Ack(ok=True, text=command.text)

    there.serve("echo", Command, answer)
    back = await here.call("echo", Command(header=Header(source="me"), text="hi", verb=""), Ack)
    assert back.text == "hi"
    with pytest.raises(ConfigError, match="echo: say something"):
        await here.call("echo", Command(text="", verb=""))
    with pytest.raises(BusError, match="no service 'nobody'"):
        await here.call("nobody", Empty(), timeout_s=0.5)


async def test_tensors_go_to_a_service_and_come_back_without_a_copy(
    buses: tuple[Bus, Bus],
) -> None:
    here, there = buses

    def doubled(image: Image) -> Image:
        assert not image.data.flags.writeable
        room = there.loan(image.data.shape, np.uint8)
        np.multiply(image.data, 2, out=room)
        return Image(data=room)

    there.serve("double", Image, doubled)
    room = here.loan((300, 300, 3), np.uint8)
    room[:] = 21
    answer = await here.call("double", Image(data=room), Image)
    del room
    assert (answer.data == 42).all()
    assert (held(here), held(there)) == (0, 1)
    del answer
    assert held(there) == 0


async def test_who_gives_up_has_the_answering_cancelled(buses: tuple[Bus, Bus]) -> None:
    here, there = buses
    began, ended = asyncio.Event(), asyncio.Event()

    async def for_ever(_: Empty) -> Empty:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return Empty()

    there.serve("slow", Empty, for_ever)
    asking = asyncio.create_task(here.call("slow", Empty(), timeout_s=60))
    await asyncio.wait_for(began.wait(), 10)
    asking.cancel()
    await asyncio.wait_for(ended.wait(), 10)
    with pytest.raises(BusError, match=r"gave no answer in 0\.01 s"):
        await here.call("slow", Empty(), timeout_s=0.01)
