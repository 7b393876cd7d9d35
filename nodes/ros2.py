"""The bridge of a session to a ROS 2 graph, as a node; made by a launch file's `ros2:` section."""

from __future__ import annotations

import asyncio

from olympus.runtime.bus.ros2.bridge.bridge import Bridge
from olympus.runtime.bus.ros2.bridge.settings import BridgeSettings
from olympus.runtime.errors import ParamError
from olympus.runtime.meanings import describe
from olympus.runtime.messages import Diagnostic
from olympus.runtime.node import Node, NodeParams, output, timer
from olympus.runtime.qos import Tier


class Ros2(Node):
    """Shows the session in ROS 2 while active, and takes from ROS what the launch file names."""

    class Params(NodeParams, BridgeSettings):
        """What to show and what to take."""

    describe(Params)
    is_replayed = False

    params: Params
    diagnostics = output("diagnostics", Diagnostic, tier=Tier.LOW)

    async def on_activate(self) -> None:
        """Join the graph.

        Raises:
            BusError: It can't be joined.
            ConfigError: A setting can't be used.
            MessageError: A topic's type can't be translated as asked for.
        """
        settings = BridgeSettings.model_validate(self.params.model_dump())
        safety = self.session.safety_dir if self.session is not None else None
        self._bridge = Bridge(settings, self.bus, name=self.name, safety_dir=safety)
        self._running: asyncio.Task[None] = self.spawn(self._bridge.run(), name="bridge")

    async def on_deactivate(self) -> None:
        """Leave the graph."""
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)
        await self._bridge.close()

    def on_params(self, changed: set[str]) -> None:
        """Refuse: what a graph was joined with can't be changed under way.

        Raises:
            ParamError: Always.
        """
        raise ParamError(f"{self.name}: {', '.join(sorted(changed))}: set it in the launch file")

    @timer(1.0)
    async def on_second(self) -> None:
        """Publish the figures."""
        self.diagnostics.publish(self._bridge.health())
