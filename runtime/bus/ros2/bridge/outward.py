"""One of our topics on its way to ROS, only while somebody there listens."""

from __future__ import annotations

from olympus.runtime.bus.bus import Bus
from olympus.runtime.bus.options import SubscriptionOptions
from olympus.runtime.bus.ros2.bridge.settings import Publish, qos_name
from olympus.runtime.bus.ros2.mapping import Context, Mapper
from olympus.runtime.bus.ros2.names import ros_name
from olympus.runtime.bus.ros2.participant import RosNode
from olympus.runtime.bus.ros2.qos import LATCHED, RosQos, profile
from olympus.runtime.bus.ros2.tallies import Tallies
from olympus.runtime.bus.subscription import Subscription
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import BusError, MessageError
from olympus.runtime.messages import Message, SafetyState
from olympus.runtime.qos import QoS


class Outward:
    """One topic of ours, shown in ROS."""

    def __init__(
        self,
        entry: Publish,
        cls: type[Message],
        *,
        bus: Bus,
        owner: RosNode,
        mapper: Mapper,
        ctx: Context,
        tallies: Tallies,
    ) -> None:
        """Show it.

        Args:
            entry: What the launch file says about it.
            cls: Its message type.
            bus: Where it comes from.
            owner: The ROS node that publishes it.
            mapper: Finds the translation.
            ctx: Time and frames.
            tallies: Where refusals are counted.

        Raises:
            MessageError: There is no such translation.
        """
        self.entry, self.cls, self.count = entry, cls, 0
        self._bus, self._ctx, self._tallies = bus, ctx, tallies
        self._pair = mapper.pair(cls, entry.type or mapper.ros_type(cls))
        if self._pair.to_ros is None:
            raise MessageError(f"{cls.__name__} is only read from {self._pair.ros}")
        name = entry.ros or ros_name(entry.topic)
        qos: RosQos = LATCHED if cls is SafetyState else profile(qos_name(entry.qos, name))
        self.publisher = owner.publisher(name, self._pair.ros, qos)
        self._is_latched = qos.is_latched
        self._subscription: Subscription[Message] | None = None
        self._period_ns = round(NS_PER_S / entry.max_hz) if entry.max_hz else 0
        self._due_ns = 0

    async def look(self) -> None:
        """Listen on the bus if somebody in ROS does, else stop."""
        is_wanted = self._is_latched or self.publisher.is_wanted
        if is_wanted and self._subscription is None:
            queue = QoS.latest() if self._period_ns else QoS.queue(10)
            options = SubscriptionOptions(qos=queue, keep_expired=True)
            self._subscription = self._bus.subscribe(
                self.entry.topic, self.cls, self._on_message, options
            )
        elif not is_wanted and self._subscription is not None:
            subscription, self._subscription = self._subscription, None
            await self._bus.unsubscribe(subscription)

    async def close(self) -> None:
        """Show it no more; again is harmless."""
        if self._subscription is not None:
            await self._bus.unsubscribe(self._subscription)
            self._subscription = None
        self.publisher.close()

    def _on_message(self, message: Message) -> None:
        if self._period_ns:
            now = self._bus.clock.now_ns()
            if now < self._due_ns:
                return
            self._due_ns = max(self._due_ns + self._period_ns, now - self._period_ns)
        try:
            if self._pair.to_ros is not None:
                self.publisher.publish(self._pair.to_ros(message, self._ctx))
                self.count += 1
        except (MessageError, BusError) as error:
            self._tallies.refuse(self.publisher.topic, error)
