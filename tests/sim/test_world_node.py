"""The simulator as a node: truth, faults, events, devices, IoT."""

import asyncio
import itertools
from pathlib import Path
from typing import Any

import pytest

from olympus.drivers.registry import make_base, make_camera
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import ConfigError, DeviceError, ParamError
from olympus.runtime.messages import Ack, Diagnostic, message_types
from olympus.runtime.node.testing import Bench, running
from olympus.sim import devices
from olympus.sim.messages import Happen, SetFault, Truth
from olympus.sim.world_node import SimWorld

CLOCK = SystemClock()


def params(tmp_path: Path, **more: Any) -> dict[str, Any]:
    return {"socket": str(tmp_path / "sim.sock"), "people": 1, **more}


async def truth_of(bench: Bench[SimWorld]) -> Truth:
    truth = await bench.receive("sim/truth")
    assert isinstance(truth, Truth)
    return truth


async def test_the_truth_is_told_while_the_world_runs(tmp_path: Path) -> None:
    async with running(SimWorld, params=params(tmp_path)) as bench:
        first = await truth_of(bench)
        second = await truth_of(bench)
        assert second.time_s > first.time_s
        assert abs(CLOCK.now_ns() - second.header.stamp) < 2e9
        assert first.rover.x_m == pytest.approx(1.5, abs=0.05)
        assert len(first.people) == 1


async def test_a_base_drives_the_true_rover(tmp_path: Path) -> None:
    async with running(SimWorld, params=params(tmp_path, people=0)) as bench:
        with make_base(f"sim://base?socket={tmp_path / 'sim.sock'}", clock=CLOCK) as base:
            base.command(5.0, 5.0)
            async with asyncio.timeout(10):
                while (await truth_of(bench)).rover.x_m < 1.6:
                    pass


async def test_a_fault_is_caused_by_name(tmp_path: Path) -> None:
    async with running(SimWorld, params=params(tmp_path)) as bench:
        answer = await bench.bus.call("node/fault", SetFault(name="camera_black", value=1.0))
        assert isinstance(answer, Ack)
        assert answer.ok
        async with asyncio.timeout(10):
            while (await truth_of(bench)).faults != ("camera_black",):
                pass
        source = f"sim://front?socket={tmp_path / 'sim.sock'}"
        with make_camera(source, clock=CLOCK) as camera:
            frame = await asyncio.to_thread(camera.read, 5.0)
        assert frame.rgb.max() == 0


async def test_an_unknown_fault_or_event_is_answered_with_a_hint(tmp_path: Path) -> None:
    async with running(SimWorld, params=params(tmp_path)) as bench:
        fault = await bench.bus.call("node/fault", SetFault(name="camera_blak", value=1.0))
        event = await bench.bus.call("node/event", Happen(name="sirene"))
    assert isinstance(fault, Ack)
    assert isinstance(event, Ack)
    assert (fault.ok, event.ok) == (False, False)
    assert "did you mean 'camera_black'" in fault.text
    assert "did you mean 'siren'" in event.text


async def test_an_event_happens(tmp_path: Path) -> None:
    async with running(SimWorld, params=params(tmp_path)) as bench:
        answer = await bench.bus.call("node/event", Happen(name="shout_stop"))
        assert isinstance(answer, Ack)
        assert answer.ok
        assert bench.node.world.happenings.sounds[-1].label == "stop"


async def test_its_health_is_reported(tmp_path: Path) -> None:
    async with running(SimWorld, params=params(tmp_path)) as bench:
        report = await bench.receive("diagnostics")
    assert isinstance(report, Diagnostic)
    assert report.level == "ok"


async def test_a_missing_broker_is_told_in_its_health(tmp_path: Path) -> None:
    given = params(tmp_path, mqtt_url="mqtt://127.0.0.1:9")
    async with running(SimWorld, params=given) as bench, asyncio.timeout(20):
        while True:
            report = await bench.receive("diagnostics")
            assert isinstance(report, Diagnostic)
            if "127.0.0.1:9" in report.text:
                break


async def test_two_simulators_in_one_session_are_refused(tmp_path: Path) -> None:
    async with running(SimWorld, params=params(tmp_path)):
        with pytest.raises(DeviceError, match="another simulator"):
            async with running(SimWorld, params=params(tmp_path)):
                pass


async def test_a_wrong_scenario_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'patrol'"):
        async with running(SimWorld, params=params(tmp_path, scenario="patroll")):
            pass


async def test_too_many_people_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamError, match="people"):
        async with running(SimWorld, params=params(tmp_path) | {"people": 99}):
            pass


async def test_a_faster_world_can_be_asked_for(tmp_path: Path) -> None:
    async with running(SimWorld, params=params(tmp_path, realtime_factor=5.0)) as bench:
        told = [await truth_of(bench) for _ in range(6)]
    # Median, since a busy machine may make the world skip.
    factors = sorted(
        (later.time_s - one.time_s) * 1e9 / (later.header.stamp - one.header.stamp)
        for one, later in itertools.pairwise(told)
    )
    assert factors[2] == pytest.approx(5.0, rel=0.01)


def test_the_plugin_registers_its_scheme_and_messages() -> None:
    assert devices.__name__ == "olympus.sim.devices"
    assert message_types()["sim/Truth"] is Truth
    with pytest.raises(ConfigError, match="socket=PATH"):
        make_camera("sim://front", clock=CLOCK)
