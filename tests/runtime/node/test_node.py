"""A node on the bench: parameters, handlers, timers, services, failures."""

import asyncio
import json
from typing import Any

import pytest

from olympus.runtime.clock import VirtualClock, run_virtual
from olympus.runtime.errors import ConfigError, LifecycleError, ParamError
from olympus.runtime.messages import (
    Ack,
    Empty,
    Header,
    ParamChange,
    ParamList,
    Reading,
    Text,
)
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
from olympus.runtime.node.declare import declared_by
from olympus.runtime.node.params import make_params
from olympus.runtime.node.testing import Bench, running
from olympus.runtime.qos import QoS


class Amplifier(Node):
    """Multiplies readings; everything a node can declare."""

    class Params(NodeParams):
        gain: float = Field(2.0, ge=0, le=10, description="Factor for every value.")
        rate_hz: float = Field(10.0, gt=0, le=100, description="Beats per second.")
        forbidden: float = Field(0.0, description="Any value but 13 will do.")

    params: Params
    out = output("out", Reading)

    async def on_configure(self) -> None:
        self.history = ["configure"]
        self.beats = 0

    async def on_activate(self) -> None:
        self.history.append("activate")

    async def on_deactivate(self) -> None:
        self.history.append("deactivate")

    async def on_cleanup(self) -> None:
        self.history.append("cleanup")

    def on_params(self, changed: set[str]) -> None:
        if self.params.forbidden == 13:
            raise ParamError("forbidden=13: not this one; try another")

    @subscribe("in", qos=QoS.queue(10))
    async def on_reading(self, reading: Reading) -> None:
        if reading.value < 0:
            raise RuntimeError("negative")
        value = reading.value * self.params.gain
        self.out.publish(Reading(name=reading.name, value=value, unit="1"), cause=reading)

    @timer(hz="rate_hz")
    def on_beat(self) -> None:
        self.beats += 1
        if self.beats == 3:
            raise RuntimeError("third beat")

    @service("hello")
    async def on_hello(self, request: Empty) -> Ack:
        return Ack(ok=True, text=self.name)


def reading(value: float) -> Reading:
    return Reading(header=Header(stamp=5), name="a", value=value, unit="1")


async def test_a_message_goes_through_the_node_with_its_stamp_and_trace() -> None:
    async with running(Amplifier, namespace="rover", params={"gain": 3}) as bench:
        await bench.send("rover/in", reading(2.0))
        result = await bench.receive("rover/out")
        assert isinstance(result, Reading)
        assert (result.value, result.header.stamp, result.header.source) == (6.0, 5, "rover/node")
        assert [hop.topic for hop in result.header.trace] == ["rover/in", "rover/out"]


async def test_remaps_move_both_ends() -> None:
    async with running(Amplifier, remaps={"in": "raw", "out": "/loud"}) as bench:
        await bench.send("raw", reading(1.0))
        assert await bench.receive("loud")


async def test_a_failing_handler_is_counted_and_the_node_goes_on() -> None:
    async with running(Amplifier) as bench:
        await bench.send("in", reading(-1.0))
        await bench.send("in", reading(1.0))
        await bench.receive("out")
        assert bench.node.errors == 1


def test_a_timer_beats_by_its_parameter_and_survives_a_failure() -> None:
    clock = VirtualClock()

    async def main() -> tuple[int, int, int]:
        async with running(Amplifier, clock=clock) as bench:
            await clock.sleep(1.05)
            slow = bench.node.beats
            bench.runner.set_params({"rate_hz": 100.0})
            await clock.sleep(1.0)
            return slow, bench.node.beats - slow, bench.node.errors

    slow, fast, errors = run_virtual(main(), clock)
    assert (slow, errors) == (10, 1)
    assert 88 <= fast <= 100


async def test_the_lifecycle_calls_the_hooks_in_order() -> None:
    async with running(Amplifier, activate=False) as bench:
        runner = bench.runner
        for step in (Transition.ACTIVATE, Transition.DEACTIVATE, Transition.ACTIVATE):
            await runner.change(step)
        await runner.change(Transition.SHUTDOWN)
        assert runner.state is State.FINALIZED
        assert bench.node.history == [
            "configure", "activate", "deactivate", "activate", "deactivate", "cleanup",
        ]  # fmt: skip


async def test_an_inactive_node_hears_and_says_nothing_and_counts_it() -> None:
    async with running(Amplifier) as bench:
        await bench.runner.change(Transition.DEACTIVATE)
        await bench.send("in", reading(1.0))
        bench.node.out.publish(reading(1.0))
        await asyncio.sleep(0)
        assert bench.watch("out").empty()
        assert bench.node.out.unsent == 1


async def test_publishing_before_configure_is_refused_with_a_remedy() -> None:
    async with running(Amplifier) as bench:
        await bench.runner.change(Transition.SHUTDOWN)
        with pytest.raises(LifecycleError, match="before the node is configured"):
            bench.node.out.publish(reading(1.0))


async def test_parameters_are_listed_with_their_schema_and_set_by_service() -> None:
    async with running(Amplifier) as bench:
        listed = await bench.bus.call("node/param/list", Empty())
        assert isinstance(listed, ParamList)
        assert json.loads(listed.values["gain"]) == 2.0
        about = json.loads(listed.schema)["properties"]["gain"]
        assert (about["maximum"], about["description"]) == (10, "Factor for every value.")
        answer = await _set(bench, gain="4")
        assert (answer.ok, answer.text, bench.node.params.gain) == (True, "gain", 4.0)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"gain": "11"}, r"node.gain: 11: .*less than or equal to 10 \(Factor for every value"),
        ({"gain": "4", "rate_hz": "-1"}, "node.rate_hz"),
        ({"gian": "4"}, "did you mean 'gain'"),
        ({"gain": "much"}, "node.gain: 'much'"),
        ({"gain": ""}, "no value given"),
        ({"gain": "[" * 4000}, "node.gain"),
        ({"gain": "NaN"}, "finite number"),
        ({"forbidden": "Infinity"}, "finite number"),
        ({"gain": "4", "forbidden": "13"}, "not this one"),
    ],
)
async def test_a_refused_change_changes_nothing(values: dict[str, str], complaint: str) -> None:
    async with running(Amplifier) as bench:
        answer = await _set(bench, **values)
        assert not answer.ok
        with pytest.raises(ParamError, match=complaint):
            raise ParamError(answer.text)
        assert bench.node.params == make_params(Amplifier.Params, {}, "node")


async def _set(bench: Bench[Amplifier], **values: str) -> Ack:
    answer = await bench.bus.call("node/param/set", ParamChange(values=values))
    assert isinstance(answer, Ack)
    return answer


async def test_a_bad_parameter_stops_the_node_before_it_starts() -> None:
    with pytest.raises(ParamError, match=r"node\.gain"):
        async with running(Amplifier, params={"gain": -1}):
            pass


async def test_lifecycle_and_own_services_answer() -> None:
    async with running(Amplifier) as bench:
        hello: Any = await bench.bus.call("node/hello", Empty())
        assert hello.text == "node"
        for request, ok, text in [
            ("deactivate", True, "inactive"),
            ("deactivate", False, "possible"),
            ("dance", False, "no transition 'dance'"),
        ]:
            answer: Any = await bench.bus.call(
                "node/lifecycle", TransitionRequest(transition=request)
            )
            assert answer.ok is ok
            assert text in answer.text


async def test_a_crashed_task_is_reported() -> None:
    async def crash() -> None:
        raise RuntimeError("boom")

    async with running(Amplifier) as bench:
        task = bench.node.spawn(crash(), name="worker")
        await asyncio.wait([task])
        await asyncio.sleep(0)
        assert bench.crashes == ["node: boom"]


def test_a_handler_must_say_what_it_takes() -> None:
    class Vague(Node):
        pass

    def on_thing(self: Vague, thing: object) -> None: ...

    Vague.on_thing = subscribe("thing")(on_thing)  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="annotate its argument"):
        declared_by(Vague)


@pytest.mark.parametrize(
    "arguments", [{}, {"period_s": 1.0, "hz": "rate_hz"}, {"period_s": 0.0}, {"hz": 100.0}]
)
def test_a_timer_needs_one_positive_period(arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        timer(**arguments)


async def test_what_is_set_on_a_class_after_it_was_made_is_refused_with_the_way_out() -> None:
    class Early(Node):
        """Made before anybody thought of more."""

    @timer(1.0)
    def on_tick(self: Node) -> None:
        """Never called."""

    for name, late in (("extra", output("extra", Text)), ("on_tick", on_tick)):
        made: type[Node] = type("Late", (Early,), {})
        setattr(made, name, late)
        with pytest.raises(ConfigError, match=rf"Late\.{name} was set after the class was made"):
            async with running(made):
                pass
    grown: type[Node] = type("MyEarly", (Early,), {"extra": output("extra", Text)})
    async with running(grown) as bench:
        assert list(bench.node.outputs) == ["extra"]
        setattr(Early, "later", output("later", Text))  # noqa: B010  mypy knows no such attribute
        with pytest.raises(ConfigError, match=r"MyEarly\.later was set after the class was made"):
            getattr(bench.node, "later")  # noqa: B009  as above
