"""Quality of service as ROS 2 knows it, and as rmw_zenoh writes it into its tokens.

Source: rmw/types.h (numbers of the policies) and rmw_zenoh's liveliness_utils.cpp (the text).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from olympus.runtime.errors import ConfigError, MessageError, did_you_mean


class Reliability(IntEnum):
    """Whether a lost message is sent again."""

    RELIABLE = 1
    BEST_EFFORT = 2


class Durability(IntEnum):
    """Whether late joiners get what was published before."""

    TRANSIENT_LOCAL = 1
    VOLATILE = 2


class History(IntEnum):
    """How much is kept."""

    KEEP_LAST = 1
    KEEP_ALL = 2


_DEFAULT_DEPTH = 42
"""Of rmw_zenoh: the depth that it leaves out of its text."""


@dataclass(frozen=True, slots=True)
class RosQos:
    """One quality of service."""

    reliability: Reliability = Reliability.RELIABLE
    durability: Durability = Durability.VOLATILE
    history: History = History.KEEP_LAST
    depth: int = 10
    rest: str = ",:,:,,"
    """Deadline, lifespan, liveliness as text; this default means: none of them."""

    @property
    def is_latched(self) -> bool:
        """Whether late joiners get the last messages."""
        return self.durability is Durability.TRANSIENT_LOCAL

    @property
    def is_blocking(self) -> bool:
        """Whether a publisher waits rather than drop; what rmw_zenoh does for `keep all` only."""
        return self.reliability is Reliability.RELIABLE and self.history is History.KEEP_ALL

    @property
    def text(self) -> str:
        """The text in a token; what equals rmw_zenoh's default is left out."""
        reliability = "" if self.reliability is Reliability.RELIABLE else int(self.reliability)
        durability = "" if self.durability is Durability.VOLATILE else int(self.durability)
        history = "" if self.history is History.KEEP_LAST else int(self.history)
        depth = "" if self.depth == _DEFAULT_DEPTH else self.depth
        return f"{reliability}:{durability}:{history},{depth}:{self.rest}"

    @property
    def in_bags(self) -> str:
        """The text beside a bag's topic, from which a player makes its publisher.

        YAML, policies by number. That is what rosbag2 wrote up to version 8 of its metadata and
        what Humble and Iron read; later ones read it too, of an MCAP file that says ROS_DISTRO and
        has no other metadata of rosbag2's. Times of 0 mean: none was asked for.

        Source: rosbag2_storage, qos.cpp; rosbag2_storage_mcap, mcap_storage.cpp.
        """
        none = "{sec: 0, nsec: 0}"
        return (
            f"- {{history: {int(self.history)}, depth: {self.depth}, "
            f"reliability: {int(self.reliability)}, durability: {int(self.durability)}, "
            f"deadline: {none}, lifespan: {none}, liveliness: 1, "
            f"liveliness_lease_duration: {none}, avoid_ros_namespace_conventions: false}}\n"
        )

    @classmethod
    def parse(cls, text: str) -> RosQos:
        """Read the text of a token.

        Raises:
            MessageError: It is no quality of service.
        """
        try:
            reliability, durability, keep, rest = text.split(":", 3)
            history, depth = keep.split(",")
            return cls(
                Reliability(int(reliability or 1)),
                Durability(int(durability or 2)),
                History(int(history or 1)),
                int(depth or _DEFAULT_DEPTH),
                rest,
            )
        except ValueError as error:
            raise MessageError(f"{text!r:.60} is no quality of service: {error}") from error


DEFAULT = RosQos()
SENSOR_DATA = RosQos(Reliability.BEST_EFFORT, depth=5)
SERVICES = RosQos()
CLOCK = RosQos(depth=1)
"""Reliable: over DDS who asks for reliable delivery hears nothing of a publisher without it."""
PARAMETER_EVENTS = RosQos(depth=1000)
LATCHED = RosQos(durability=Durability.TRANSIENT_LOCAL, depth=1)
TF_STATIC = RosQos(durability=Durability.TRANSIENT_LOCAL, depth=1)
ROSOUT = RosQos(durability=Durability.TRANSIENT_LOCAL, depth=1000)
ACTION_STATUS = RosQos(durability=Durability.TRANSIENT_LOCAL, depth=1)
QosName = Literal["default", "sensor_data", "latched"]
PROFILES: dict[str, RosQos] = {"default": DEFAULT, "sensor_data": SENSOR_DATA, "latched": LATCHED}
"""What may stand in a launch file."""


def usual(ros: str) -> QosName:
    """Return the profile that a topic has by its name in ROS, unless another was said."""
    return "latched" if ros.endswith("/tf_static") else "default"


def profile(name: str) -> RosQos:
    """Return a profile by the name it has in launch files.

    Raises:
        ConfigError: There is none of that name.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise ConfigError(f"qos {name!r}: {did_you_mean(name, PROFILES)}") from None
