"""One of our nodes as ROS sees it."""

from __future__ import annotations

from olympus.runtime.bus.bus import Bus
from olympus.runtime.bus.ros2.bridge.lifecycle import LifecycleServices
from olympus.runtime.bus.ros2.bridge.parameters import ParameterServices
from olympus.runtime.bus.ros2.bridge.settings import BridgeSettings
from olympus.runtime.bus.ros2.participant import Participant, RosNode, RosPublisher


class ShownNode:
    """A node of ours in the ROS graph, with its parameters and its lifecycle."""

    def __init__(
        self,
        one: Participant,
        bus: Bus,
        name: str,
        *,
        settings: BridgeSettings,
        own: RosNode | None,
        events: RosPublisher,
    ) -> None:
        """Show it.

        Args:
            one: The participant.
            bus: Through which the real node is asked.
            name: Its full name.
            settings: Which services to answer.
            own: The ROS node of the bridge, if this node is the bridge; it is not closed here.
            events: Where changed parameters are told.
        """
        self._is_own = own is not None
        self.node = own if own is not None else one.node(name)
        self._parameters = (
            ParameterServices(
                one,
                self.node,
                bus,
                name=name,
                uses_sim_time=lambda: settings.clock == "follow",
                events=events,
            )
            if settings.params
            else None
        )
        self._lifecycle = (
            LifecycleServices(one, self.node, bus, name=name) if settings.lifecycle else None
        )

    def note(self, state: str) -> None:
        """Take notice of its state."""
        if self._lifecycle is not None:
            self._lifecycle.note(state)

    async def second(self) -> None:
        """Tell parameters that were changed; once a second."""
        if self._parameters is not None:
            await self._parameters.look_for_changes()

    def close(self) -> None:
        """Show it no more."""
        if not self._is_own:
            self.node.close()
