"""What the `ros2:` section of a launch file may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from olympus.runtime.bus.ros2.definitions import check_type_name
from olympus.runtime.bus.ros2.how import Joining
from olympus.runtime.bus.ros2.names import check_topic
from olympus.runtime.bus.ros2.qos import QosName, usual
from olympus.runtime.errors import OlympusError


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    @field_validator("ros", check_fields=False)
    @classmethod
    def _is_ros_name(cls, value: str | None) -> str | None:
        return None if value is None else _checked(check_topic, value)

    @field_validator("type", check_fields=False)
    @classmethod
    def _is_ros_type(cls, value: str | None) -> str | None:
        return None if value is None else _checked(check_type_name, value)


class Publish(_Entry):
    """One of our topics that ROS sees."""

    topic: str
    """Full name of our topic."""
    ros: str | None = None
    """Its name in ROS; `/` and the same name when left out."""
    type: str | None = None
    """ROS type; the usual one of our type when left out."""
    qos: QosName | None = None
    """Quality of service; `latched` for `tf_static` when left out, else `default`."""
    frame_id: str = ""
    """Frame to write into its header; the usual one when left out."""
    max_hz: Annotated[float, Field(gt=0, le=10_000)] | None = None
    """At most so many messages a second; what comes between is left out."""


class Subscribe(_Entry):
    """One of ROS's topics that our nodes see."""

    ros: str
    """Its name in ROS."""
    type: str
    """ROS type."""
    topic: str | None = None
    """Full name of our topic; the same name without `/` when left out."""
    qos: QosName | None = None
    """Quality of service; `latched` for `tf_static` when left out, else `default`."""
    raw: bool = False
    """Take it whole, as its CDR in a RosValue, also where a type of ours says most of it."""
    lifetime_s: Annotated[float, Field(gt=0, le=3600)] | None = None
    """How long after its stamp a message is worth something; 0.3 s for velocities."""
    width: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Columns of the picture that detections are about."""
    height: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Rows of it."""
    rate_hz: Annotated[int, Field(ge=1, le=384_000)] = 16_000
    """Samples a second of sound."""


class Action(_Entry):
    """An action of ROS that our nodes can ask for as a service."""

    ros: str
    """Its name in ROS, such as `/navigate_to_pose`."""
    type: str
    """ROS type, such as `nav2_msgs/action/NavigateToPose`."""
    service: str
    """Full name of the service. It takes a Pose for NavigateToPose, else a RosValue, and answers
    when the goal has ended; SERVICE/progress tells meanwhile how it goes."""
    patience_s: Annotated[float, Field(gt=0, le=60)] = 2.0
    """How long the action's server may take to accept a goal."""
    limit_s: Annotated[float, Field(gt=0, le=86_400)] = 600.0
    """How long a goal may take; then it is called off."""
    moves: bool = True
    """Whether a goal moves the robot: then a stop calls it off, none begins while motion is
    stopped, and a newer one takes the place of an older."""


def qos_name(qos: QosName | None, ros: str) -> QosName:
    """Return a topic's quality of service by its name in ROS, unless it was said."""
    return qos or usual(ros)


class StaticFrame(BaseModel):
    """Where a frame is fixed in another (REP-105), told on `/tf_static`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    child: str
    """Such as `camera_link`."""
    parent: str = "base_link"
    xyz: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """m: ahead, left, up."""
    rpy: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """rad: roll, pitch, yaw, about fixed axes."""
    optical: bool = False
    """Also tell `CHILD_optical_frame`, turned so that z looks ahead (REP-103)."""


class BridgeSettings(Joining):
    """How a session appears in a ROS 2 graph, and what it takes from there."""

    own_router: bool = False
    """Open the first `router` here instead of expecting it to run: for a robot without ROS."""
    publish: list[Publish] = Field(default_factory=list)
    """Topics of ours with settings of their own."""
    publish_all: bool = True
    """Show every other topic too, under its own name and with its usual type."""
    hide: list[str] = Field(default_factory=list)
    """Topics not to show; `*` and `**` may stand in a name."""
    subscribe: list[Subscribe] = Field(default_factory=list)
    """Topics of ROS to take."""
    actions: list[Action] = Field(default_factory=list)
    """Actions of ROS that our nodes can ask for."""
    params: bool = True
    """Answer the parameter services for every node."""
    lifecycle: bool = True
    """Answer the lifecycle services for every node."""
    rosout: bool = True
    """Tell log lines on `/rosout`."""
    diagnostics: bool = True
    """Tell health on `/diagnostics`, once a second."""
    tf: bool = True
    """Tell odometry as the frame `odom` → `base_link` on `/tf`."""
    static_frames: list[StaticFrame] = Field(default_factory=list)
    """Told on `/tf_static`."""
    stop: str = "/stop"
    """ROS topic (std_msgs/Bool, Empty) and service (std_srvs/Trigger) that stop; '' for none."""
    clock: Literal["system", "publish", "follow"] = "system"
    """`publish` robot time on `/clock`, or `follow` a simulation's: then `use_sim_time` is true."""
    max_ahead_s: Annotated[float, Field(ge=0, le=10)] = 0.1
    """How far a ROS message's stamp may lie in the future; beyond it is refused."""

    @model_validator(mode="after")
    def _no_circle(self) -> BridgeSettings:
        shown = {one.ros or check_topic(one.topic) for one in self.publish}
        both = sorted(shown & {one.ros for one in self.subscribe})
        if both:
            raise ValueError(f"{', '.join(both)}: shown and taken at once would go in a circle")
        return self


def _checked(check: object, value: str) -> str:
    try:
        return str(check(value))  # type: ignore[operator]
    except OlympusError as error:
        raise ValueError(str(error)) from error
