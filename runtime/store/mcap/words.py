"""What exporting and importing agree upon: forms of messages, keys of metadata.

Each channel is one publisher on one topic. Its metadata say what the file itself has no word for:
our topic, our type, the publisher. `sequence` is the message's number, `log_time` when it was
recorded, `publish_time` when it was published, all in robot time.

Source: MCAP, "Format specification" and "Registry", mcap.dev/spec.
"""

from __future__ import annotations

from enum import StrEnum

PROFILE = "ros2"
CDR, JSON, FRAME = "cdr", "json", "olympus"
"""Message encodings; the last is our own frame, as it lies in the store."""
ROS_SCHEMA, JSON_SCHEMA = "ros2msg", "jsonschema"
TOPIC, TYPE, SOURCE = "olympus.topic", "olympus.type", "olympus.source"
ABOUT, GAPS = "olympus", "olympus.gaps"
"""Names of metadata records: what the recording knows of itself."""
QOS = "offered_qos_profiles"
"""As rosbag2 names it: with which quality of service a channel is to be published again."""
ROSBAG, DISTRO = "rosbag2", {"ROS_DISTRO": "jazzy"}
"""Metadata record of rosbag2's, by which it knows how to read QOS: see `RosQos.in_bags`."""
DEFINITIONS = "ros definitions"
"""What a run says of types that only the imported bag knew: JSON, `ros2msg` text by type."""


class Form(StrEnum):
    """As what messages are written."""

    ROS2 = "ros2"
    """All as ROS 2 messages: standard types where there are such, `olympus_msgs` else."""
    JSON = "json"
    """Standard types as ROS 2 messages, all others as JSON."""
    FRAMES = "frames"
    """Bit for bit as recorded; no other tool reads the contents."""
