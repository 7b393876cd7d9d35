"""The bridge of a session: its topics, nodes, parameters and stop, as a ROS 2 graph sees them."""

from olympus.runtime.bus.ros2.bridge.bridge import Bridge
from olympus.runtime.bus.ros2.bridge.settings import BridgeSettings

__all__ = ["Bridge", "BridgeSettings"]
