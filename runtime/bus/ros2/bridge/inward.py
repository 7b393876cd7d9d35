"""One of ROS's topics on its way to our nodes; its age is checked before anybody acts on it."""

from __future__ import annotations

import dataclasses
from typing import Any

from olympus.runtime.bus.bus import Bus
from olympus.runtime.bus.options import PublisherOptions
from olympus.runtime.bus.ros2.backend import Arrival
from olympus.runtime.bus.ros2.bridge.settings import Subscribe, qos_name
from olympus.runtime.bus.ros2.mapping import Context, Mapper
from olympus.runtime.bus.ros2.participant import RosNode
from olympus.runtime.bus.ros2.qos import LATCHED, profile
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import RosValue, Transform, Transforms, Twist
from olympus.runtime.qos import Tier

_TWIST_S = 0.3
"""How long a velocity is worth something unless the launch file says otherwise."""
MOST_FRAMES = 1000
"""Fixed frames that are remembered; a robot has some dozens."""
_KEPT = 100
"""Of a latched topic: as many publishers may each have told something before we came."""


class Inward:
    """One topic of ROS, taken."""

    def __init__(
        self,
        entry: Subscribe,
        *,
        bus: Bus,
        node: RosNode,
        name: str,
        mapper: Mapper,
        ctx: Context,
        max_ahead_s: float,
    ) -> None:
        """Take it.

        Args:
            entry: What the launch file says about it.
            bus: Where it goes.
            node: The ROS node that subscribes.
            name: Full name of our node that publishes.
            mapper: Finds the translation.
            ctx: Time; width, height and rate are the entry's.
            max_ahead_s: How far a stamp may lie in the future, s.

        Raises:
            MessageError: There is no such translation.
        """
        self.count = 0
        self.topic = entry.topic or entry.ros.strip("/")
        cls = RosValue if entry.raw else mapper.our_class(entry.type)
        self._mapper = mapper
        self._pair = mapper.pair(cls, entry.type)
        self._ctx = dataclasses.replace(
            ctx, width=entry.width, height=entry.height, rate_hz=entry.rate_hz
        )
        self._ahead_ns = round(max_ahead_s * NS_PER_S)
        self._is_motion = is_motion = cls is Twist
        qos = qos_name(entry.qos, entry.ros)
        is_latched = qos == "latched"
        self._frames: dict[str, Transform] | None = {} if is_latched and cls is Transforms else None
        """Fixed frames by child: each of their publishers tells some, and who is late needs all."""
        options = PublisherOptions(
            node=name,
            tier=Tier.HIGH if is_motion else Tier.NORMAL,
            latched=is_latched,
            lifetime_s=entry.lifetime_s or (_TWIST_S if is_motion else None),
        )
        self._bus = bus
        self._publisher: Any = bus.publisher(self.topic, cls, options)
        asked = dataclasses.replace(LATCHED, depth=_KEPT) if is_latched else profile(qos)
        self._end = node.subscribe(entry.ros, self._pair.ros, self._take, asked, ignore_own=True)

    def close(self) -> None:
        """Take it no more; again is harmless."""
        self._end.close()
        self._bus.withdraw(self._publisher)

    def _take(self, value: Any, arrival: Arrival) -> None:
        """Translate and publish, in the thread that received it.

        Raises:
            MessageError: The value makes no sense, or claims to come from the future.
        """
        times = self._ctx.times
        now_ns = times.now_robot()
        unknown_ns = 0 if self._is_motion else now_ns
        has_time = arrival.stamp_ns > 0
        sent_ns = times.sent_to_robot(arrival.stamp_ns) if has_time else unknown_ns
        self._refuse_the_future(sent_ns, now_ns)
        ctx = dataclasses.replace(self._ctx, sent_ns=min(sent_ns, now_ns))
        if self._pair.from_ros is None:
            raise MessageError(f"{self._pair.cls.__name__} is only written to {self._pair.ros}")
        for one in [value] if self._pair.cls is RosValue else self._mapper.each(value):
            message = self._pair.from_ros(one, ctx)
            if self._is_motion and not message.header.stamp:
                raise MessageError("a velocity that says not when it was sent; its age is unknown")
            self._refuse_the_future(message.header.stamp, now_ns)
            self._publisher.publish(self._with_known_frames(message))
        self.count += 1

    def _with_known_frames(self, message: Any) -> Any:
        """Return fixed frames with those that were told before; any other message as it is.

        Raises:
            MessageError: There are too many.
        """
        if self._frames is None:
            return message
        known = self._frames | {one.child: one for one in message.items}
        if len(known) > MOST_FRAMES:
            raise MessageError(f"{len(known)} fixed frames; at most {MOST_FRAMES} are remembered")
        self._frames = known
        return dataclasses.replace(message, items=tuple(known.values()))

    def _refuse_the_future(self, stamp_ns: int, now_ns: int) -> None:
        if stamp_ns > now_ns + self._ahead_ns:
            raise MessageError(
                f"its stamp lies {(stamp_ns - now_ns) / 1e9:.3f} s in the future; set both clocks "
                "by NTP, or with a simulated clock say 'clock: follow'"
            )
