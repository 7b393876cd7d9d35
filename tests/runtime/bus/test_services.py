"""Service calls within a host and between hosts: answers, errors, and calls that are given up."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from olympus.runtime.bus import Bus
from olympus.runtime.bus.failure import MAX_BYTES, MAX_CALLS, failure_bytes, failure_of
from olympus.runtime.bus.hub import open_hub
from olympus.runtime.bus.zenoh_config import open_session
from olympus.runtime.bus.zenoh_link import ZenohLink
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session, new_session
from olympus.runtime.errors import BusError, MessageError, ParamError, ServiceError, StoreError
from olympus.runtime.messages import Ack, Command, Empty, Reading, encode

pytestmark = pytest.mark.e2e


@pytest.fixture
def session(short_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_path))
    made = new_session("calls")
    with open_hub(made):
        yield made


@pytest.fixture(params=["one host", "two hosts"])
async def ends(request: pytest.FixtureRequest, session: Session) -> AsyncIterator[tuple[Bus, Bus]]:
    """Who serves and who asks."""
    clock = SystemClock(session.clock_offset_ns)
    serving = Bus(clock, host="a", link=ZenohLink(session.endpoint))
    asking = serving
    if request.param == "two hosts":
        asking = Bus(clock, host="b", link=ZenohLink(session.endpoint))
    yield serving, asking
    for bus in {serving, asking}:
        await bus.close()


async def until(condition: Callable[[], Any], *, within_s: float = 20.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


class Sleeper:
    """A service that never answers, and says what became of its calls."""

    def __init__(self, bus: Bus) -> None:
        self.begun = self.cancelled = 0
        self.service = bus.serve("sleep", Empty, self.answer, node="sleeper")

    async def answer(self, _: Empty) -> Empty:
        self.begun += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return Empty()


async def served(asking: Bus, name: str) -> None:
    await until(lambda: any(e.kind == "srv" and e.topic == name for e in asking.graph()))


async def test_an_answer_is_of_the_type_that_was_asked_for(ends: tuple[Bus, Bus]) -> None:
    serving, asking = ends
    serving.serve("echo", Command, lambda c: Ack(ok=True, text=c.text), response=Ack, node="n")
    await served(asking, "echo")
    answer = await asking.call("echo", Command(text="hi", verb=""), Ack, timeout_s=20)
    assert answer.text == "hi"
    with pytest.raises(MessageError, match="answered Ack where Reading is needed"):
        await asking.call("echo", Command(text="hi", verb=""), Reading, timeout_s=20)


async def test_a_handler_that_answers_something_else_than_it_says_fails(
    ends: tuple[Bus, Bus],
) -> None:
    serving, asking = ends
    serving.serve("liar", Empty, lambda _: Empty(), response=Ack, node="n")
    await served(asking, "liar")
    with pytest.raises(ServiceError, match="liar answered Empty where Ack is needed"):
        await asking.call("liar", Empty(), timeout_s=20)


@pytest.mark.parametrize("cls", [ParamError, StoreError, BusError])
async def test_an_error_travels_as_its_class_and_text(
    ends: tuple[Bus, Bus], cls: type[Exception]
) -> None:
    serving, asking = ends

    async def fail(_: Empty) -> Empty:
        raise cls("rate=0: give more than 0")

    serving.serve("fail", Empty, fail, node="n")
    await served(asking, "fail")
    with pytest.raises(cls, match="fail: rate=0: give more than 0") as caught:
        await asking.call("fail", Empty(), timeout_s=20)
    assert isinstance(caught.value, ServiceError)


async def test_an_error_that_is_not_ours_travels_by_name(ends: tuple[Bus, Bus]) -> None:
    serving, asking = ends
    serving.serve("divide", Empty, lambda _: 1 / 0, node="n")  # type: ignore[arg-type,return-value]
    await served(asking, "divide")
    with pytest.raises(ServiceError, match="ZeroDivisionError: division by zero"):
        await asking.call("divide", Empty(), timeout_s=20)


async def test_many_calls_are_answered_at_the_same_time(ends: tuple[Bus, Bus]) -> None:
    serving, asking = ends
    gathered = asyncio.Event()
    here = 0

    async def meet(question: Reading) -> Reading:
        nonlocal here
        here += 1
        if here == 50:
            gathered.set()
        await gathered.wait()
        return question

    serving.serve("meet", Reading, meet, node="n")
    await served(asking, "meet")
    questions = [Reading(name="n", value=float(n), unit="1") for n in range(50)]
    answers = await asyncio.gather(
        *(asking.call("meet", question, Reading, timeout_s=30) for question in questions)
    )
    assert [answer.value for answer in answers] == [float(n) for n in range(50)]


async def test_a_cancelled_call_cancels_the_handler(ends: tuple[Bus, Bus]) -> None:
    serving, asking = ends
    sleeper = Sleeper(serving)
    await served(asking, "sleep")
    call = asyncio.create_task(asking.call("sleep", Empty(), timeout_s=60))
    await until(lambda: sleeper.begun == 1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await until(lambda: sleeper.cancelled == 1)


async def test_a_call_that_takes_too_long_is_cancelled_too_and_the_other_goes_on(
    ends: tuple[Bus, Bus],
) -> None:
    serving, asking = ends
    sleeper = Sleeper(serving)
    await served(asking, "sleep")
    patient = asyncio.create_task(asking.call("sleep", Empty(), timeout_s=60))
    await until(lambda: sleeper.begun == 1)
    with pytest.raises(BusError, match=r"'sleep' gave no answer in 0\.2 s"):
        await asking.call("sleep", Empty(), timeout_s=0.2)
    await until(lambda: sleeper.cancelled == 1)
    assert sleeper.begun == 2
    assert not patient.done()
    patient.cancel()
    await until(lambda: sleeper.cancelled == 2)


CALLER = """
import asyncio, sys
from olympus.runtime.bus import Bus
from olympus.runtime.bus.zenoh_link import ZenohLink
from olympus.runtime.clock import SystemClock
from olympus.runtime.messages import Empty

async def main():
    bus = Bus(SystemClock(), host="caller", link=ZenohLink(sys.argv[1]))
    await asyncio.gather(*(bus.call("sleep", Empty(), timeout_s=600) for _ in range(3)))

asyncio.run(main())
"""


@contextmanager
def calling(session: Session) -> Iterator[subprocess.Popen[bytes]]:
    caller = subprocess.Popen([sys.executable, "-c", CALLER, session.endpoint])
    try:
        yield caller
    finally:
        caller.kill()
        caller.wait()


async def test_a_caller_that_dies_has_its_calls_cancelled(session: Session) -> None:
    serving = Bus(SystemClock(), host="a", link=ZenohLink(session.endpoint))
    sleeper = Sleeper(serving)
    with calling(session) as caller:
        await until(lambda: sleeper.begun == 3)
        caller.kill()
        await until(lambda: sleeper.cancelled == 3)
    await serving.close()


async def test_a_service_that_is_not_there_is_told_at_once(session: Session) -> None:
    bus = Bus(SystemClock(), host="a", link=ZenohLink(session.endpoint))
    begun = time.monotonic()
    with pytest.raises(BusError, match="no answer from service 'nobody'; is its node active"):
        await bus.call("nobody", Empty(), timeout_s=60)
    assert time.monotonic() - begun < 30
    await bus.close()


async def test_an_outside_client_may_ask_without_saying_who_it_is(session: Session) -> None:
    bus = Bus(SystemClock(), host="a", link=ZenohLink(session.endpoint))
    bus.serve("echo", Command, lambda c: Ack(ok=True, text=c.text), node="n")
    stranger = open_session("client", connect=[session.endpoint])

    def ask(payload: bytes, attachment: bytes | None) -> Any:
        return next(iter(stranger.get("echo", payload=payload, attachment=attachment, timeout=20)))

    right = encode(Command(text="hi", verb=""))
    for attachment in (None, b"", b"odd", b"\xff" * 20):
        reply = await asyncio.to_thread(ask, right, attachment)
        assert str(reply.ok.encoding) == "application/x-olympus"
    for nonsense in (b"", b"OLY1", b"\x00" * 100):
        reply = await asyncio.to_thread(ask, nonsense, None)
        assert reply.err.payload.to_string().startswith("MessageError: ")
    stranger.close()  # type: ignore[no-untyped-call]
    await bus.close()


async def test_a_host_that_answers_too_much_already_refuses(session: Session) -> None:
    clock = SystemClock()
    serving = Bus(clock, host="a", link=ZenohLink(session.endpoint))
    asking = Bus(clock, host="b", link=ZenohLink(session.endpoint))
    sleeper = Sleeper(serving)
    await served(asking, "sleep")
    calls = [
        asyncio.create_task(asking.call("sleep", Empty(), timeout_s=60)) for _ in range(MAX_CALLS)
    ]
    await until(lambda: sleeper.begun == MAX_CALLS)
    with pytest.raises(ServiceError, match="256 calls are being answered"):
        await asking.call("sleep", Empty(), timeout_s=20)
    await asking.close()
    await until(lambda: sleeper.cancelled == MAX_CALLS)  # who leaves has given up
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await serving.close()


def test_an_unknown_class_of_error_is_still_a_service_error() -> None:
    for raw in (b"", b"Strange", b"Strange: why", b"\xff: \xff", b"OlympusError: x" * 10_000):
        error = failure_of(raw, "srv")
        assert isinstance(error, ServiceError)
        assert str(error).startswith("srv: ")
        assert len(str(error)) < 2 * MAX_BYTES
    nested = failure_of(failure_bytes(failure_of(b"StoreError: full", "inner")), "outer")
    assert isinstance(nested, StoreError)
    assert str(nested) == "outer: inner: full"
    assert nested.exit_code == StoreError.exit_code
