"""Typed messages: a header, fields, and a codec without surprises."""

from olympus.runtime.messages.base import (
    Header,
    Hop,
    Message,
    message,
    message_types,
    schema_by_class,
    schema_by_name,
)
from olympus.runtime.messages.codec import decode, encode, read_header
from olympus.runtime.messages.motion import Actuation, Command, MissionState, Odometry, Twist
from olympus.runtime.messages.perception import Detection, Detections, Percept, SoundEvent
from olympus.runtime.messages.schema import Array, Schema
from olympus.runtime.messages.sensors import AudioChunk, Battery, Image, Imu, Ranges, Reading
from olympus.runtime.messages.system import (
    Ack,
    Diagnostic,
    Empty,
    Heartbeat,
    HostStats,
    Log,
    NodeStats,
    ParamChange,
    ParamList,
    SafetyState,
    TopicStats,
    Transition,
)

__all__ = [
    "Ack",
    "Actuation",
    "Array",
    "AudioChunk",
    "Battery",
    "Command",
    "Detection",
    "Detections",
    "Diagnostic",
    "Empty",
    "Header",
    "Heartbeat",
    "Hop",
    "HostStats",
    "Image",
    "Imu",
    "Log",
    "Message",
    "MissionState",
    "NodeStats",
    "Odometry",
    "ParamChange",
    "ParamList",
    "Percept",
    "Ranges",
    "Reading",
    "SafetyState",
    "Schema",
    "SoundEvent",
    "TopicStats",
    "Transition",
    "Twist",
    "decode",
    "encode",
    "message",
    "message_types",
    "read_header",
    "schema_by_class",
    "schema_by_name",
]
