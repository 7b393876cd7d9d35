"""Stands in Nav2's place where no ROS is installed: serves /navigate_to_pose, drives by /cmd_vel.

    olympus launch launch/nav2.yaml own_router:=true
    python docs/examples/nav2_stand_in.py [ROUTER]

It goes straight to where it is told and looks at nothing: for a simulated building without people.
It also shows how to be in a ROS 2 graph from a script of your own, without a launch file.
"""

from __future__ import annotations

import asyncio
import math
import sys
from typing import Any

from olympus.runtime.bus.ros2.actions import ActionServer, Goal
from olympus.runtime.bus.ros2.how import ROUTER, Joining
from olympus.runtime.bus.ros2.joining import join_graph
from olympus.runtime.bus.ros2.participant import Participant, RosNode
from olympus.runtime.errors import BusError

ACTION = "nav2_msgs/action/NavigateToPose"
POSE = "geometry_msgs/msg/PoseWithCovarianceStamped"
NEAR_M, NEAR_RAD = 0.2, 0.1
SPEED_MPS, TURN_RADPS = 0.4, 0.8
PERIOD_S = 0.05


class StandIn:
    """One rover, driven from pose to pose."""

    def __init__(self, one: Participant, node: RosNode) -> None:
        self._one = one
        self._here: Any = None
        self._localized = node.publisher("/amcl_pose", POSE)
        self._wheels = node.publisher("/cmd_vel", "geometry_msgs/msg/Twist")
        self._goal: Goal | None = None
        node.subscribe("/rover/odom", "nav_msgs/msg/Odometry", self._on_odometry)
        ActionServer(one, node, "/navigate_to_pose", ACTION, self._drive)

    def _on_odometry(self, odometry: Any, _arrival: Any) -> None:
        """Say where the rover is on the map: where the odometry says, which is not so elsewhere."""
        self._here = odometry.pose.pose
        self._localized.publish(self._one.new(POSE, header=self._header(), pose=odometry.pose))

    async def _drive(self, goal: Goal) -> None:
        """Drive to a pose; called off, stand.

        Raises:
            BusError: A newer goal took its place.
        """
        self._goal = goal
        try:
            while not self._step(goal):
                await asyncio.sleep(PERIOD_S)
                if self._goal is not goal:
                    raise BusError("a newer goal came")
        finally:
            if self._goal is goal:
                self._turn_wheels(0.0, 0.0)

    def _step(self, goal: Goal) -> bool:
        """Turn the wheels for a moment; return whether it is there."""
        if self._here is None:
            return False
        wish, here = goal.value.pose.pose, self._here
        dx, dy = wish.position.x - here.position.x, wish.position.y - here.position.y
        away_m, yaw = math.hypot(dx, dy), _yaw(here.orientation)
        is_there = away_m < NEAR_M
        toward = _yaw(wish.orientation) if is_there else math.atan2(dy, dx)
        error = math.remainder(toward - yaw, math.tau)
        if is_there and abs(error) < NEAR_RAD:
            return True
        fast = 0.0 if is_there or abs(error) > 0.5 else min(SPEED_MPS, away_m)
        self._turn_wheels(fast, max(-TURN_RADPS, min(TURN_RADPS, 2 * error)))
        feedback = self._one.new(f"{ACTION}_Feedback", distance_remaining=away_m)
        feedback.current_pose.header, feedback.current_pose.pose = self._header(), here
        goal.tell(feedback)
        return False

    def _turn_wheels(self, linear_mps: float, angular_radps: float) -> None:
        twist = self._one.new("geometry_msgs/msg/Twist")
        twist.linear.x, twist.angular.z = linear_mps, angular_radps
        self._wheels.publish(twist)

    def _header(self) -> Any:
        sec, nanosec = divmod(self._one.now_ns(), 10**9)
        stamp = self._one.new("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
        return self._one.new("std_msgs/msg/Header", stamp=stamp, frame_id="map")


def _yaw(q: Any) -> float:
    return math.atan2(2 * (q.w * q.z + q.x * q.y), 1 - 2 * (q.y * q.y + q.z * q.z))


async def main(router: str = ROUTER) -> None:
    """Serve until Ctrl-C."""
    one = join_graph(Joining(backend="zenoh", router=[router], listen=["tcp/127.0.0.1:0"]))
    StandIn(one, one.node("bt_navigator"))
    try:
        sys.stdout.write("serving /navigate_to_pose; Ctrl-C ends it\n")
        sys.stdout.flush()
        await asyncio.Event().wait()
    finally:
        await one.close()


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
