"""Our messages as ROS messages and back. Units and frames follow REP-103 and REP-105."""

from olympus.runtime.bus.ros2.mapping.context import Context, Times
from olympus.runtime.bus.ros2.mapping.mapper import Mapper

__all__ = ["Context", "Mapper", "Times"]
