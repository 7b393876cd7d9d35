"""Joins a ROS 2 graph as a launch file or a command line says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from olympus.runtime.bus.ros2.backend import Backend
from olympus.runtime.bus.ros2.catalogue import catalogue_of
from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.bus.ros2.participant import Participant
from olympus.runtime.bus.ros2.tallies import Tallies
from olympus.runtime.bus.ros2.zenoh_session import LISTEN, ROUTER, open_ros_session
from olympus.runtime.errors import BusError

Distro = Literal["humble", "jazzy", "kilted", "lyrical", "rolling"]


class Joining(BaseModel):
    """How to join a ROS 2 graph."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    domain: int = Field(0, ge=0, le=232)
    """ROS_DOMAIN_ID of the graph."""
    distro: Distro = "jazzy"
    """Distribution of the other nodes; their keys and tokens differ."""
    backend: Literal["auto", "zenoh", "rclpy"] = "auto"
    """`zenoh` speaks rmw_zenoh's wire without ROS, `rclpy` uses the ROS that is installed and its
    middleware; `auto` takes rclpy where it can be imported."""
    mode: Literal["peer", "client"] = "peer"
    """`peer` on the robot itself, `client` from another machine."""
    router: list[str] = [ROUTER]
    """Zenoh endpoints of the ROS routers (`rmw_zenohd`, or `olympus ros2 router`)."""
    listen: list[str] = [LISTEN]
    """Where other peers reach this one."""
    interfaces: list[Path] = []
    """Folders of ROS interface packages with your own `.msg`, `.srv` and `.action` files."""


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

        backend = RclpyBackend(domain=how.domain, distro=how.distro)
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
