"""How to join a ROS 2 graph, as a launch file or a command line says."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

ROUTER = "tcp/localhost:7447"
"""Where a session looks for its router."""
LISTEN = "tcp/localhost:0"
"""Where a peer listens: two peers without a listener never find each other."""
Distro = Literal["humble", "jazzy", "kilted", "lyrical", "rolling"]


class Joining(BaseModel):
    """How to join a ROS 2 graph."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

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
