"""Nodes whose hooks and handlers fail or hang: the way up is undone, the way down is finished."""

import asyncio
from typing import Any

import pytest

from olympus.runtime.clock import VirtualClock, run_virtual
from olympus.runtime.errors import DeviceError, LifecycleError
from olympus.runtime.messages import Ack, Empty, Reading
from olympus.runtime.messages import Transition as TransitionRequest
from olympus.runtime.node import (
    Field,
    Node,
    NodeParams,
    State,
    Transition,
    output,
    service,
    subscribe,
    timer,
)
from olympus.runtime.node.testing import running


class Clumsy(Node):
    """Fails in the hooks it is told to, as often as it is told."""

    class Params(NodeParams):
        fail_in: str = Field("", description="Name of a hook.")
        is_ours: bool = Field(False, description="Whether it fails with an error of ours.")

    params: Params
    out = output("out", Reading)

    async def on_configure(self) -> None:
        self.history: list[str] = []
        self._step("on_configure")

    async def on_activate(self) -> None:
        self.background = self.spawn(self.clock.sleep(3600))
        self._step("on_activate")

    async def on_deactivate(self) -> None:
        self._step("on_deactivate")

    async def on_cleanup(self) -> None:
        self._step("on_cleanup")

    def _step(self, hook: str) -> None:
        self.history.append(hook)
        if self.params.fail_in == hook:
            raise DeviceError("no device") if self.params.is_ours else ZeroDivisionError("by zero")

    @subscribe("in")
    async def on_reading(self, reading: Reading) -> None:
        await self.call(f"{self.name}/lifecycle", TransitionRequest(transition="deactivate"))

    @service("hello")
    def on_hello(self, request: Empty) -> Ack:
        return Ack(ok=True)


READING = Reading(name="a", value=1.0, unit="1")


@pytest.mark.parametrize("hook", ["on_configure", "on_activate"])
@pytest.mark.parametrize(("is_ours", "error"), [(True, DeviceError), (False, LifecycleError)])
async def test_a_failed_way_up_is_undone_and_can_be_tried_again(
    hook: str, is_ours: bool, error: type[Exception]
) -> None:
    async with running(Clumsy, params={"is_ours": is_ours}, activate=False) as bench:
        runner, node = bench.runner, bench.node
        if hook == "on_configure":
            await runner.change(Transition.CLEANUP)
        before = runner.state
        runner.set_params({"fail_in": hook})
        step = Transition.CONFIGURE if hook == "on_configure" else Transition.ACTIVATE
        with pytest.raises(error, match="no device" if is_ours else rf"{hook} failed: ZeroDiv"):
            await runner.change(step)
        assert runner.state is before
        assert not node.out.is_open
        if hook == "on_activate":
            assert node.background.cancelled()
        runner.set_params({"fail_in": ""})
        await runner.change(step)
        await runner.change(Transition.SHUTDOWN)


@pytest.mark.parametrize("hook", ["on_deactivate", "on_cleanup"])
async def test_a_failing_hook_does_not_keep_a_node_from_shutting_down(hook: str) -> None:
    async with running(Clumsy) as bench:
        bench.runner.set_params({"fail_in": hook})
        with pytest.raises(LifecycleError, match=rf"{hook} failed: ZeroDivisionError: by zero"):
            await bench.runner.change(Transition.SHUTDOWN)
        assert bench.runner.state is State.FINALIZED
        assert bench.node.history[-2:] == ["on_deactivate", "on_cleanup"]
        assert bench.node.out.publisher is None


async def test_a_node_whose_deactivation_failed_is_inactive() -> None:
    async with running(Clumsy, params={"fail_in": "on_deactivate"}) as bench:
        answer: Any = await bench.bus.call(
            "node/lifecycle", TransitionRequest(transition="deactivate")
        )
        assert (answer.ok, bench.runner.state) == (False, State.INACTIVE)
        bench.node.out.publish(READING)
        assert bench.node.out.unsent == 1


async def test_a_handler_may_deactivate_its_own_node() -> None:
    async with running(Clumsy) as bench:
        await bench.send("in", READING)
        async with asyncio.timeout(20):
            while bench.runner.state is not State.INACTIVE:
                await asyncio.sleep(0)
        assert bench.node.history[-1] == "on_deactivate"


async def test_one_transition_is_made_at_a_time() -> None:
    async with running(Clumsy) as bench:
        results = await asyncio.gather(
            *(bench.runner.change(Transition.DEACTIVATE) for _ in range(2)), return_exceptions=True
        )
        assert results[0] is State.INACTIVE
        assert isinstance(results[1], LifecycleError)
        assert bench.node.history.count("on_deactivate") == 1


class Ticker(Node):
    """Waits in a timer for something that is cancelled."""

    async def on_configure(self) -> None:
        self.ticks = 0

    @timer(0.1)
    async def on_tick(self) -> None:
        self.ticks += 1
        other = asyncio.create_task(asyncio.Event().wait())
        other.cancel()
        await other


def test_a_timer_that_waits_for_something_cancelled_ticks_on() -> None:
    clock = VirtualClock()

    async def main() -> tuple[int, int]:
        async with running(Ticker, clock=clock) as bench:
            await clock.sleep(1.05)
            return bench.node.ticks, bench.node.errors

    assert run_virtual(main(), clock) == (10, 10)


async def test_a_spawned_task_may_end_all_the_others() -> None:
    async with running(Clumsy) as bench:
        await asyncio.wait_for(bench.node.spawn(bench.node.cancel_tasks()), 20)
        assert bench.node.background.cancelled()


class Stubborn(Node):
    """Fails in the same way at each turn, and from the hundredth on in another."""

    turns = 0

    @timer(0.1)
    def on_turn(self) -> None:
        self.turns += 1
        raise ValueError("one" if self.turns < 100 else "two")


def test_an_error_that_goes_on_has_one_traceback_and_is_told_again_now_and_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = VirtualClock()

    async def main() -> None:
        async with running(Stubborn, clock=clock) as bench:
            await clock.sleep(15.05)
            assert bench.node.errors == bench.node.turns > 100

    run_virtual(main(), clock)
    told = [(one.getMessage(), bool(one.exc_info)) for one in caplog.records]
    errors = [one for one in told if "on_turn" in one[0]]
    assert [text for text, has_traceback in errors if has_traceback] == [
        "on_turn: ValueError: one",
        "on_turn: ValueError: two",
    ]
    again = [text for text, has_traceback in errors if not has_traceback]
    assert 1 <= len(again) <= 3
    assert "again" in again[0]


class Complaining(Node):
    """Fails in a way that has a name, the same at each turn, and once in between in another."""

    turns = 0

    @timer(0.1)
    def on_turn(self) -> None:
        self.turns += 1
        raise DeviceError("two" if self.turns == 100 else "one")


def test_a_named_error_that_goes_on_is_not_told_at_each_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A refused model was told for each picture, and buried all else."""
    clock = VirtualClock()

    async def main() -> None:
        async with running(Complaining, clock=clock) as bench:
            await clock.sleep(15.05)
            assert bench.node.errors == bench.node.turns == 150

    run_virtual(main(), clock)
    told = [one.getMessage() for one in caplog.records if "on_turn" in one.getMessage()]
    first = [text for text in told if "again" not in text]
    assert [text.partition("on_turn: ")[2] for text in first] == [
        "DeviceError: one",
        "DeviceError: two",
        "DeviceError: one",
    ]
    again = [text for text in told if "again" in text]
    assert 1 <= len(again) <= 3
    assert "errors of this node so far" in again[0]
    assert not any(one.exc_info for one in caplog.records)
