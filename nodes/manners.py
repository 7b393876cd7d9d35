"""How the robot behaves near people, and how long it waits where it gets nowhere."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from olympus.nodes.odometry import Pose
from olympus.nodes.steering import Motion

PROGRESS_M = 0.15
"""Who has moved so far has not stood."""
SLOWEST = 0.3
"""Share of the speed that is left right beside a person."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What one tick decided: a motion, and the state it puts the mission in."""

    motion: Motion
    state: str
    reason: str = ""


def ease(motion: Motion, gap_m: float, keep_m: float, fastest_mps: float) -> Plan:
    """Slow down near people, and say why it stands.

    Args:
        motion: What steering wants.
        gap_m: Distance of the nearest person ahead; infinity if there is none.
        keep_m: Distance to keep from people; the slowing begins one metre before it.
        fastest_mps: Speed allowed while somebody is so near.
    """
    text = f"a person is {gap_m:.1f} m away"
    if motion.is_for_people:
        return Plan(motion, "yielding", text)
    if motion.is_blocked:
        return Plan(motion, "blocked")
    if gap_m >= keep_m + 1.0:
        return Plan(motion, "driving")
    share = max(SLOWEST, SLOWEST + (1 - SLOWEST) * (gap_m - keep_m))
    slower = min(motion.linear_mps * share, fastest_mps)
    return Plan(replace(motion, linear_mps=slower), "driving", f"slower: {text}")


class Patience:
    """Measures how long the robot has stayed in one place, turning and dithering included."""

    def __init__(self) -> None:
        self._anchor = Pose()
        self._since_ns: int | None = None
        self._passing_until_ns = 0

    def restart(self) -> None:
        """Begin to count anew with the next `waited_s`."""
        self._since_ns = None

    def waited_s(self, pose: Pose, now_ns: int) -> float:
        """Return for how long it has not got on.

        Args:
            pose: In any frame that does not jump.
            now_ns: Robot time.
        """
        moved_m = math.hypot(pose.x_m - self._anchor.x_m, pose.y_m - self._anchor.y_m)
        if self._since_ns is None or moved_m > PROGRESS_M:
            self._anchor, self._since_ns = pose, now_ns
        return (now_ns - self._since_ns) / 1e9

    def begin_passing(self, now_ns: int, seconds: float) -> None:
        """Pass people more closely for a while."""
        self._passing_until_ns = now_ns + round(seconds * 1e9)

    def is_passing(self, now_ns: int) -> bool:
        """Tell whether it passes people closely, and slowly, at present."""
        return now_ns < self._passing_until_ns
