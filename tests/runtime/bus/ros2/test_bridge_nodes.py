"""Our nodes as ROS sees them: there and gone, their parameters, their lifecycle."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from olympus.runtime.bus.ros2.bridge.parameters import MOST_ITEMS, MOST_NAMES
from olympus.runtime.errors import BusError
from olympus.runtime.messages import (
    HostStats,
    NodeStats,
)
from olympus.runtime.node.lifecycle import Transition

if TYPE_CHECKING:
    from tests.runtime.bus.ros2.bridge_place import Build
    from tests.runtime.bus.ros2.conftest import Until
from tests.runtime.bus.ros2.conftest import RCLPY

pytestmark = pytest.mark.e2e
ROBOT = Path(__file__).with_name("_rclpy_robot.py")


def stats(state: str) -> HostStats:
    node = NodeStats(name="rover/wheel", uses="tests", state=state, errors=0)
    return HostStats(
        host="rover",
        pid=1,
        cpu=0,
        rss_mb=0,
        threads=1,
        uptime_s=0,
        restarts=0,
        loop_lag_ms=0,
        nodes=(node,),
        topics=(),
    )


async def test_a_node_of_ours_is_a_node_there_until_it_goes(build: Build, until: Until) -> None:
    async with build() as place:

        def nodes() -> set[str]:
            return {e.full_node for e in place.ros.backend.entities() if e.kind == "NN"}

        await until(lambda: {"/rover/wheel", "/rover/ros2"} <= nodes())
        await place.runner.change(Transition.SHUTDOWN)
        await until(lambda: "/rover/wheel" not in nodes())


async def test_parameters_are_listed_read_described_and_set(
    build: Build, until: Until, way: dict[str, Any]
) -> None:
    async with build() as place:
        events: list[Any] = []
        place.looker.subscribe(
            "/parameter_events",
            "rcl_interfaces/msg/ParameterEvent",
            lambda v, _: events.append(v),
        )
        base, srv = "/rover/wheel", "rcl_interfaces/srv/"
        listed = await place.call(f"{base}/list_parameters", f"{srv}ListParameters")
        assert listed.result.names == ["gear", "label", "limits", "route", "speed", "use_sim_time"]
        names = ["speed", "gear", "label", "route", "limits", "use_sim_time", "nothing"]
        types = await place.call(
            f"{base}/get_parameter_types", f"{srv}GetParameterTypes", names=names
        )
        assert types.types.tolist() == [3, 2, 4, 4, 8, 1, 0]
        got = await place.call(f"{base}/get_parameters", f"{srv}GetParameters", names=names)
        values = got.values
        assert values[0].double_value == 0.5
        assert values[3].string_value == "[[1.0, 2.0]]"
        assert values[4].double_array_value.tolist() == [0.0, 1.5]
        (about,) = (
            await place.call(
                f"{base}/describe_parameters", f"{srv}DescribeParameters", names=["speed"]
            )
        ).descriptors
        assert about.description == "How fast, m/s."
        assert about.floating_point_range[0].to_value == 2.0

        async def set_(*given: tuple[str, dict[str, Any]], all_: bool = False) -> Any:
            made = [
                place.ros.new(
                    "rcl_interfaces/msg/Parameter",
                    name=name,
                    value=place.ros.new("rcl_interfaces/msg/ParameterValue", **value),
                )
                for name, value in given
            ]
            suffix = "SetParametersAtomically" if all_ else "SetParameters"
            path = "set_parameters_atomically" if all_ else "set_parameters"
            return await place.call(f"{base}/{path}", f"{srv}{suffix}", parameters=made)

        speed = ("speed", {"type": 3, "double_value": 1.25})
        wrong = ("gear", {"type": 2, "integer_value": 9})
        route = ("route", {"type": 4, "string_value": "[[3, 4]]"})
        results = (await set_(speed, wrong, route)).results
        assert [one.successful for one in results] == [True, False, True]
        assert "gear" in results[1].reason
        assert place.runner.node.params.speed == 1.25
        assert place.runner.node.params.route == [(3.0, 4.0)]
        both = await set_(("speed", {"type": 3, "double_value": 0.75}), wrong, all_=True)
        assert not both.result.successful
        assert place.runner.node.params.speed == 1.25, "all or none"
        sim = await set_(("use_sim_time", {"type": 1, "bool_value": True}))
        assert "ros2.clock" in sim.results[0].reason
        huge = ("limits", {"type": 8, "double_array_value": np.zeros(MOST_ITEMS + 1)})
        odd = ("sp\x1beed\n", {"type": 3, "double_value": 1.0})
        unknown = ("speed", {"type": 77})
        nameless = ("", {"type": 3, "double_value": 1.0})
        refused = (await set_(huge, odd, unknown, nameless)).results
        assert [one.successful for one in refused] == [False] * 4
        assert f"{MOST_ITEMS + 1} items; at most {MOST_ITEMS}" in refused[0].reason
        assert "\x1b" not in refused[1].reason
        assert "type 77 is unknown" in refused[2].reason
        assert place.bridge.participant.tallies.refused[f"{base}/set_parameters"] == 4
        assert (
            (await set_(("limits", {"type": 8, "double_array_value": np.zeros(9)})))
            .results[0]
            .successful
        )
        if way["backend"] == "zenoh":  # over rclpy a failure is an empty response
            with pytest.raises(BusError, match=f"at most {MOST_NAMES} at once"):
                await place.call(
                    f"{base}/get_parameters",
                    f"{srv}GetParameters",
                    names=[""] * (MOST_NAMES + 1),
                )
        await until(lambda: any(e.node == base for e in events))
        assert all(e.stamp.sec > 0 for e in events if e.node == base)
        changed = {p.name for e in events for p in e.changed_parameters}
        assert {"speed", "route"} <= changed


@pytest.mark.parametrize("way", [RCLPY], indirect=True)
async def test_rclpys_own_client_reads_and_sets_our_parameters(
    build: Build, way: dict[str, Any]
) -> None:
    async with build() as place:
        command = [sys.executable, str(ROBOT), str(way["domain"]), "params", "/rover/wheel"]
        asked = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        assert asked.stdout is not None
        try:
            async with asyncio.timeout(40):
                said = [json.loads(await asked.stdout.readline()) for _ in range(5)]
        finally:
            asked.kill()
            await asked.communicate()
        assert said == [
            ["gear", "label", "limits", "route", "speed", "use_sim_time"],
            [0.5],
            [True, False],
            ["How fast, m/s."],
            "ready",
        ]
        assert place.runner.node.params.speed == 1.5


async def test_a_node_is_taken_through_its_lifecycle(
    build: Build, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    async with build() as place:
        base, srv = "/rover/wheel", "lifecycle_msgs/srv/"
        reports = place.bus.publisher("@olympus/stats/rover", HostStats)
        events: list[Any] = []
        place.looker.subscribe(
            f"{base}/transition_event",
            "lifecycle_msgs/msg/TransitionEvent",
            lambda v, _: events.append((v.start_state.label, v.goal_state.label)),
        )

        async def state() -> str:
            reports.publish(stats("inactive"))
            answer = await place.call(f"{base}/get_state", f"{srv}GetState")
            return str(answer.current_state.label)

        async with asyncio.timeout(20):
            while await state() != "inactive":
                await asyncio.sleep(0.05)
        possible = await place.call(
            f"{base}/get_available_transitions", f"{srv}GetAvailableTransitions"
        )
        labels = [one.transition.label for one in possible.available_transitions]
        assert labels == ["cleanup", "activate", "shutdown"]

        async def change(number: int) -> bool:
            transition = place.ros.new("lifecycle_msgs/msg/Transition", id=number)
            answer = await place.call(
                f"{base}/change_state", f"{srv}ChangeState", transition=transition
            )
            return bool(answer.success)

        assert await change(3)
        assert place.runner.state == "active"
        assert not await change(1), "an active node can't be configured"
        assert not await change(99), "there is no such transition"
        assert "ROS asks rover/wheel for 'configure': " in caplog.text
        assert "ROS asks rover/wheel for 99: " in caplog.text
        assert await change(4)
        await until(lambda: ("inactive", "active") in events)
        assert events[-1] == ("active", "inactive")
        states = await place.call(f"{base}/get_available_states", f"{srv}GetAvailableStates")
        assert [one.id for one in states.available_states] == [0, 1, 2, 3, 4]
        whole = await place.call(f"{base}/get_transition_graph", f"{srv}GetAvailableTransitions")
        assert len(whole.available_transitions) == 7
