"""Names of ROS: topics, nodes, namespaces, and how ours become theirs.

Source: design.ros2.org, "Topic and Service name mapping to DDS".
"""

from __future__ import annotations

import re

from olympus.runtime.errors import ConfigError

_TOPIC = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+\Z")
_WRONG = re.compile(r"[^A-Za-z0-9_/]")


def check_topic(name: str) -> str:
    """Return a full ROS topic name; a missing first slash is added.

    Raises:
        ConfigError: It is no ROS name; ROS allows letters, digits and `_`, no digit first.
    """
    full = "/" + name.strip("/")
    if not _TOPIC.match(full):
        raise ConfigError(
            f"{name!r:.80} is no ROS name; parts of letters, digits and '_', none begins with a "
            f"digit; {ros_name(name)!r} would do"
        )
    return full


def ros_name(topic: str) -> str:
    """Return the ROS name of one of our topics or nodes: `rover/camera-2` is `/rover/camera_2`."""
    parts = [_WRONG.sub("_", part) for part in topic.strip("/").split("/") if part]
    return "/" + "/".join(f"_{part}" if part[0].isdigit() else part for part in parts)


def split_node(full: str) -> tuple[str, str]:
    """Return namespace and name of a node: `rover/camera` is (`/rover`, `camera`)."""
    namespace, _, name = ros_name(full).rpartition("/")
    return namespace or "/", name


def join(namespace: str, name: str) -> str:
    """Return the full name of a node, a topic or a service within a namespace."""
    return f"{namespace.rstrip('/')}/{name.lstrip('/')}"


def dds_type(name: str) -> str:
    """Return a type as rmw names it: `std_msgs/msg/String` is `std_msgs::msg::dds_::String_`."""
    package, kind, title = name.split("/")
    return f"{package}::{kind}::dds_::{title}_"


def type_of_dds(text: str) -> str:
    """Return the full name of a type as rmw names it; the text itself if it is none."""
    found = re.fullmatch(r"(\w+)::(msg|srv|action)::dds_::(\w+)_", text)
    return "/".join(found.groups()) if found else text
