"""Joins a ROS 2 graph as a launch file or a command line says."""

from __future__ import annotations

import importlib.util

from olympus.runtime.bus.ros2.backend import Backend
from olympus.runtime.bus.ros2.catalogue import catalogue_of
from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.bus.ros2.how import Joining
from olympus.runtime.bus.ros2.participant import Participant
from olympus.runtime.bus.ros2.tallies import Tallies
from olympus.runtime.bus.ros2.zenoh_session import open_ros_session
from olympus.runtime.errors import BusError


def has_rclpy() -> bool:
    """Tell whether ROS 2's Python library is there."""
    return importlib.util.find_spec("rclpy") is not None


def join_graph(how: Joining) -> Participant:
    """Join a ROS 2 graph; within a running event loop.

    Raises:
        ConfigError: A setting can't be used.
        BusError: The graph can't be joined.
        MessageError: One of the user's definitions can't be understood.
    """
    catalogue = catalogue_of(how.distro, how.interfaces)
    codecs, tallies = Codecs(catalogue), Tallies()
    backend: Backend
    if how.backend == "rclpy" or (how.backend == "auto" and has_rclpy()):
        from olympus.runtime.bus.ros2.rclpy_backend import RclpyBackend

        backend = RclpyBackend(catalogue, domain=how.domain, distro=how.distro)
        return Participant(backend, codecs, tallies)
    try:
        from olympus.runtime.bus.ros2.zenoh_backend import ZenohBackend
    except ModuleNotFoundError as error:
        raise BusError(
            f"the zenoh backend needs {error.name!r}, which is not installed; "
            "`pip install olympus-edge[ros2]` brings it"
        ) from error
    session = open_ros_session(how.mode, connect=how.router, listen=how.listen)
    backend = ZenohBackend(
        session, catalogue, domain=how.domain, distro=how.distro, tallies=tallies
    )
    return Participant(backend, codecs, tallies)
