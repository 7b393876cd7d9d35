"""What a translation between our messages and ROS's needs to know: time, frames, types."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import Header, Message

_MOST_NS = 2**31 * NS_PER_S - 1
"""ROS counts seconds in 32 bits."""


class Times:
    """Turns robot time into ROS time and back.

    ROS time is the wall clock, or with `use_sim_time` what `/clock` said last; robot time never
    steps. So the difference is taken anew for each message.
    """

    def __init__(
        self, robot_ns: Callable[[], int], ros_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._robot_ns, self._ros_ns = robot_ns, ros_ns
        self._sim: tuple[int, int] | None = None

    def follow(self, sim_ns: int) -> None:
        """Take `/clock` as ROS time from now on; it says `sim_ns` at this moment."""
        self._sim = (sim_ns, self._robot_ns())

    @property
    def ahead_ns(self) -> int:
        """How much ROS time is ahead of robot time now."""
        if self._sim is not None:
            sim_ns, robot_ns = self._sim
            return sim_ns - robot_ns
        return self._ros_ns() - self._robot_ns()

    def to_ros(self, robot_ns: int) -> int:
        """Return robot time as ROS time; what lies before ROS's beginning becomes 0."""
        return min(max(0, robot_ns + self.ahead_ns), _MOST_NS)

    def to_robot(self, ros_ns: int) -> int:
        """Return ROS time as robot time; what lies before its beginning becomes 1.

        Not 0, for a stamp of 0 is none: the oldest message of all would be taken for a new one.
        """
        return max(1, ros_ns - self.ahead_ns)

    def sent_to_robot(self, wall_ns: int) -> int:
        """Return a sender's wall clock as robot time; messages carry it also in simulations."""
        return max(1, wall_ns - (self._ros_ns() - self._robot_ns()))

    def now_robot(self) -> int:
        """Return robot time."""
        return self._robot_ns()


def _unix_time() -> Times:
    return Times(time.time_ns)


@dataclass(frozen=True, slots=True)
class Context:
    """What the translations of one topic share."""

    codecs: Codecs
    times: Times = field(default_factory=_unix_time)
    frame_id: str = ""
    """Frame to write into what goes to ROS; empty: the message's own, or the type's usual one."""
    child_frame_id: str = "base_link"
    """The body whose pose odometry is."""
    width: int = 0
    """Of the picture that detections from ROS are about, px."""
    height: int = 0
    rate_hz: int = 16_000
    """Of sound that comes from ROS, whose messages don't say."""
    sent_ns: int = 0
    """When the ROS message was sent, robot time; the stamp of types that have none."""

    def new(self, type_: str, /, **fields: Any) -> Any:
        """Return a new ROS value."""
        return self.codecs.new(type_, **fields)

    def stamp(self, robot_ns: int) -> Any:
        """Return robot time as a ROS stamp."""
        sec, nanosec = divmod(self.times.to_ros(robot_ns) if robot_ns else 0, NS_PER_S)
        return self.new("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)

    def header(self, message: Message, frame_id: str) -> Any:
        """Return the ROS header of one of our messages."""
        stamp = self.stamp(message.header.stamp)
        return self.new("std_msgs/msg/Header", stamp=stamp, frame_id=self.frame_id or frame_id)

    def robot_ns(self, stamp: Any) -> int:
        """Return a ROS stamp as robot time; the time of sending where there is none.

        Raises:
            MessageError: It lies before 1970.
        """
        ros_ns = stamp.sec * NS_PER_S + stamp.nanosec
        if ros_ns < 0:
            raise MessageError(f"a stamp of {stamp.sec} s lies before the beginning of time")
        return self.times.to_robot(ros_ns) if ros_ns else self.sent_ns

    def given(self, header: Any) -> Header:
        """Return our header for a ROS message that has one."""
        return Header(stamp=self.robot_ns(header.stamp))

    @property
    def sent(self) -> Header:
        """Our header for a ROS message that has none."""
        return Header(stamp=self.sent_ns)
