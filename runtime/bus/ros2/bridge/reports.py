"""What a session tells ROS about itself: logs, health, frames, the clock."""

from __future__ import annotations

import logging
from typing import Any

from olympus.runtime.bus.bus import Bus
from olympus.runtime.bus.options import SubscriptionOptions
from olympus.runtime.bus.ros2.backend import Arrival
from olympus.runtime.bus.ros2.bridge.settings import BridgeSettings, StaticFrame
from olympus.runtime.bus.ros2.mapping import Context, Mapper
from olympus.runtime.bus.ros2.mapping.geometry import OPTICAL, quaternion_of, turned
from olympus.runtime.bus.ros2.mapping.said import diagnostic_status
from olympus.runtime.bus.ros2.participant import Participant, RosNode, RosPublisher
from olympus.runtime.bus.ros2.qos import CLOCK, DEFAULT, ROSOUT, SENSOR_DATA, TF_STATIC, RosQos
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import BusError
from olympus.runtime.messages import Diagnostic, Log, Message, Odometry
from olympus.runtime.qos import QoS

LOGS = "@olympus/log"
_STALE_NS = 10 * NS_PER_S
"""Health that was not told for so long is `stale`."""
_TF, _CLOCK = "tf2_msgs/msg/TFMessage", "rosgraph_msgs/msg/Clock"
_FRAMES = RosQos(depth=100)
_log = logging.getLogger(__name__)


class Reports:
    """The standard topics of a ROS graph that a session serves."""

    def __init__(
        self, settings: BridgeSettings, one: Participant, node: RosNode, bus: Bus, ctx: Context
    ) -> None:
        """Tell what the settings ask for, from the ROS node `node`."""
        self._settings, self._one, self._bus, self._ctx = settings, one, bus, ctx
        self._mapper = Mapper(one.codecs)
        self._health: dict[tuple[str, str], Diagnostic] = {}
        self._ends: list[Any] = []
        self._followed: set[str] = set()
        self.missing: dict[str, str] = {}
        """Standard topics that can't be served, and why: an installed ROS may lack a package."""
        log, array = "rcl_interfaces/msg/Log", "diagnostic_msgs/msg/DiagnosticArray"
        self._rosout = self._open(settings.rosout, node, "/rosout", log, ROSOUT)
        self._diagnostics = self._open(settings.diagnostics, node, "/diagnostics", array, DEFAULT)
        self._tf = self._open(settings.tf, node, "/tf", _TF, _FRAMES)
        has_frames = bool(settings.static_frames)
        static = self._open(has_frames, node, "/tf_static", _TF, TF_STATIC)
        is_clock = settings.clock == "publish"
        self._clock = self._open(is_clock, node, "/clock", _CLOCK, CLOCK)
        if self._rosout is not None:
            self._hear(LOGS, Log, self._on_log, QoS.queue(1000))
        if static is not None:
            made = [f for one_ in settings.static_frames for f in _frames(one_, ctx)]
            static.publish(one.new(_TF, transforms=made))
        if settings.clock == "follow":
            node.subscribe("/clock", _CLOCK, self._on_clock, SENSOR_DATA)

    def follow(self, topic: str, cls: type[Message]) -> bool:
        """Take in a topic that standard topics tell about; return whether that says it all."""
        is_new = topic not in self._followed
        self._followed.add(topic)
        if is_new and cls is Odometry and self._tf is not None:
            self._hear(topic, Odometry, self._on_odometry, QoS.queue(10))
        is_health = cls is Diagnostic and self._diagnostics is not None
        if is_new and is_health:
            self._hear(topic, Diagnostic, self._on_health, QoS.queue(100))
        return is_health

    def tell_clock(self) -> None:
        """Tell what time it is, if that was asked for."""
        if self._clock is not None:
            stamp = self._ctx.stamp(self._bus.clock.now_ns())
            self._clock.publish(self._one.new(_CLOCK, clock=stamp))

    def tell_health(self) -> None:
        """Tell how every part is; once a second."""
        if self._diagnostics is None:
            return
        now = self._bus.clock.now_ns()
        made = []
        for part in self._health.values():
            status = diagnostic_status(part, self._ctx)
            if now - (part.header.stamp or now) > _STALE_NS:
                status.level = 3
            made.append(status)
        header = self._one.new("std_msgs/msg/Header", stamp=self._ctx.stamp(now))
        self._diagnostics.publish(
            self._one.new("diagnostic_msgs/msg/DiagnosticArray", header=header, status=made)
        )

    async def close(self) -> None:
        """Tell nothing more."""
        for end in self._ends:
            await self._bus.unsubscribe(end)

    def _hear(self, topic: str, cls: Any, take: Any, qos: QoS) -> None:
        options = SubscriptionOptions(qos=qos, keep_expired=True)
        self._ends.append(self._bus.subscribe(topic, cls, take, options))

    def _open(
        self, is_wished: bool, node: RosNode, topic: str, type_: str, qos: RosQos
    ) -> RosPublisher | None:
        """Become the publisher of a standard topic; without its type the session goes on."""
        if not is_wished:
            return None
        try:
            return node.publisher(topic, type_, qos)
        except BusError as error:
            self.missing[topic] = str(error)
            _log.warning("%s is not told in ROS: %s", topic, error)
            return None

    def _on_log(self, line: Log) -> None:
        if self._rosout is not None:
            self._rosout.publish(self._mapper.to_ros(line, None, self._ctx))

    def _on_health(self, part: Diagnostic) -> None:
        self._health[part.header.source, part.name] = part

    def _on_odometry(self, odometry: Odometry) -> None:
        if self._tf is not None and self._tf.is_wanted:
            self._tf.publish(self._mapper.to_ros(odometry, _TF, self._ctx))

    def _on_clock(self, value: Any, _arrival: Arrival) -> None:
        self._ctx.times.follow(value.clock.sec * NS_PER_S + value.clock.nanosec)


def _frames(frame: StaticFrame, ctx: Context) -> list[Any]:
    """Return a fixed frame as ROS transforms: itself, and its optical frame if asked for."""
    made = [_transform(ctx, frame.parent, frame.child, frame.xyz, quaternion_of(*frame.rpy))]
    if frame.optical:
        name = f"{frame.child}_optical_frame"
        made.append(_transform(ctx, frame.child, name, (0.0, 0.0, 0.0), OPTICAL))
    return made


def _transform(
    ctx: Context,
    parent: str,
    child: str,
    xyz: tuple[float, float, float],
    q: tuple[float, float, float, float],
) -> Any:
    x, y, z, w = turned(q, (0.0, 0.0, 0.0, 1.0))
    return ctx.new(
        "geometry_msgs/msg/TransformStamped",
        header=ctx.new("std_msgs/msg/Header", frame_id=parent),
        child_frame_id=child,
        transform=ctx.new(
            "geometry_msgs/msg/Transform",
            translation=ctx.new("geometry_msgs/msg/Vector3", x=xyz[0], y=xyz[1], z=xyz[2]),
            rotation=ctx.new("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w),
        ),
    )
