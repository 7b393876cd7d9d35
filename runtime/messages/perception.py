"""What models and nodes believe about the world."""

from __future__ import annotations

from dataclasses import dataclass

from olympus.runtime.messages.base import Message, message


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """One thing in a picture; x, y, w, h in 0..1 of width and height, origin top left."""

    label: str
    confidence: float
    x: float
    """Left edge."""
    y: float
    """Upper edge."""
    w: float
    h: float


@message("olympus/Detections")
class Detections(Message):
    """All things seen in one picture; an empty tuple says that it was looked at."""

    items: tuple[Detection, ...]
    frame_id: str = "camera"
    width: int = 0
    """Of the picture, px."""
    height: int = 0
    model: str = ""
    """Name and version of the model that saw them."""


@message("olympus/SoundEvent")
class SoundEvent(Message):
    """Something heard."""

    label: str
    confidence: float
    level_dbfs: float
    """Level of the sound it was heard in, dB below full scale."""
    model: str = ""


@message("olympus/Percept")
class Percept(Message):
    """A claim about the world: what, where, how sure, for how long."""

    kind: str
    """`object`, `sound`, `reading`, or `view`: a picture was looked at, `occupied` or `clear`."""
    label: str
    """Such as `person`, `obstacle`, `stop`, `smoke`."""
    confidence: float
    bearing_rad: float = float("nan")
    """Direction from the robot, 0 = ahead, positive to the left; NaN when unknown."""
    distance_m: float = float("nan")
    """Distance from the robot's middle; NaN when unknown."""
    track: int = 0
    """Same number = same thing as before; 0 = not followed."""
    how: str = ""
    """Which model or rule claims it."""
    value: float = float("nan")
    """For readings: the value."""
