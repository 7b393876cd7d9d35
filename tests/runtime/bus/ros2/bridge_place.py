"""A session with one node, a bridge, and somebody in the ROS graph who looks at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from olympus.runtime.bus import Bus
from olympus.runtime.bus.joining import join as join_session
from olympus.runtime.bus.ros2.bridge.bridge import Bridge
from olympus.runtime.bus.ros2.bridge.settings import BridgeSettings
from olympus.runtime.bus.ros2.participant import Participant, RosNode
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session
from olympus.runtime.node import Field, Node, NodeContext, NodeParams
from olympus.runtime.node.lifecycle import Transition
from olympus.runtime.node.runner import NodeRunner
from olympus.runtime.scheduler import Dispatcher

if TYPE_CHECKING:
    from tests.runtime.bus.ros2.conftest import Join


class Wheel(Node):
    class Params(NodeParams):
        speed: float = Field(0.5, ge=0, le=2, description="How fast, m/s.")
        gear: int = Field(1, ge=1, le=5, description="Which gear.")
        label: str = "left"
        route: list[tuple[float, float]] = Field(default_factory=lambda: [(1.0, 2.0)])
        limits: list[float] = Field(default_factory=lambda: [0.0, 1.5])


@dataclass
class Place:
    """A session with one node, a bridge, and somebody in the ROS graph who looks at it."""

    bus: Bus
    bridge: Bridge
    ros: Participant
    looker: RosNode
    runner: NodeRunner

    async def call(self, service: str, type_: str, **fields: Any) -> Any:
        client = self.looker.client(service, type_)
        return await client.call(self.ros.new(f"{type_}_Request", **fields), timeout_s=20.0)


Build = Callable[..., Any]


@asynccontextmanager
async def bridged(
    session: Session, way: dict[str, Any], join_any: Join, **settings: Any
) -> AsyncIterator[Place]:
    """Build a place, the bridge over a backend and with more settings, for a `with` block."""
    clock = SystemClock(session.clock_offset_ns)
    async with AsyncExitStack() as stack:
        bus = join_session(session, clock, host="rover")
        stack.push_async_callback(bus.close)
        other = join_session(session, clock, host="bridge")
        stack.push_async_callback(other.close)
        dispatcher = Dispatcher(clock)
        stack.callback(dispatcher.close)
        node = Wheel(
            NodeContext(
                name="wheel", namespace="rover", bus=bus, clock=clock, dispatcher=dispatcher
            )
        )
        runner = NodeRunner(node, "tests")
        runner.open_controls()
        await runner.change(Transition.CONFIGURE)
        bridge = Bridge(
            BridgeSettings.model_validate(way | settings),
            other,
            name="rover/ros2",
            safety_dir=session.safety_dir,
        )
        stack.push_async_callback(bridge.close)
        running = asyncio.create_task(bridge.run())
        stack.push_async_callback(ended, running)
        ros = join_any()
        yield Place(bus, bridge, ros, ros.node("looker"), runner)


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
