"""How the robot moves, should move, and was told to."""

from __future__ import annotations

from dataclasses import field

from olympus.runtime.messages.base import Message, message


@message("olympus/Twist")
class Twist(Message):
    """A velocity of a robot on the ground, body frame (REP-103)."""

    linear_mps: float
    """Ahead positive, m/s."""
    angular_radps: float
    """Counter-clockwise, seen from above, positive; rad/s."""


@message("olympus/Odometry")
class Odometry(Message):
    """Where wheel turns say the robot is, in the `odom` frame."""

    x_m: float
    y_m: float
    yaw_rad: float
    linear_mps: float
    angular_radps: float


@message("olympus/Actuation")
class Actuation(Message):
    """What the gate really let through to the motors; its trace ends at the motor."""

    channels: tuple[float, ...]
    """What was written, in the actuator's units (wheel speeds in rad/s, left first)."""
    passed: bool
    """False when the gate put neutral in place of a command."""
    reason: str
    """Why not; empty when it passed."""


@message("olympus/Command")
class Command(Message):
    """What an operator wants, in words and as understood."""

    text: str
    """The sentence as typed or spoken."""
    verb: str
    """What to do, such as `patrol`, `go`, `turn`, `stop`, `wait`."""
    args: dict[str, str] = field(default_factory=dict)
    """Named arguments, such as `{"place": "corridor"}`."""


@message("olympus/Sentence")
class Sentence(Message):
    """What somebody said, for whoever can make a plan of it."""

    text: str


@message("olympus/MissionState")
class MissionState(Message):
    """What the navigator is doing, and why it does not move if it does not."""

    mission: str
    """Sentence of the command it carries out; empty when it has none."""
    state: str
    """`idle`, `driving`, `yielding`, `blocked`, `blind`, `stopped`, or `failed` when the newest
    mission was given up, `reason` saying why."""
    reason: str = ""
    goal: str = ""
    """Name or coordinates of the next way-point."""
    goal_x_m: float = 0.0
    goal_y_m: float = 0.0
    laps: int = 0
    """Completed rounds of a patrol."""
    done: int = 0
    """Missions accomplished since the start; one that was stopped or replaced doesn't count."""
