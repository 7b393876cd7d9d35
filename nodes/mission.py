"""What the rover was told to do, as a little state machine without time or wheels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from olympus.nodes.odometry import Pose
from olympus.runtime.errors import ConfigError, did_you_mean
from olympus.runtime.messages import Command

Point = tuple[float, float]
NEAR_M = 0.45
"""So near a way-point is reached."""
PASSED_M = 1.5
"""So near it is passed, once it lies behind: somebody may stand on it."""
FARTHEST_M = 100_000.0
"""No way-point lies farther from the origin of the map."""
LONGEST_WAIT_S = 86_400.0
MOST_ROUNDS = 10_000
_TURNS = {"left": math.pi / 2, "right": -math.pi / 2, "around": math.pi}


@dataclass(frozen=True, slots=True)
class Site:
    """What the rover knows of the place."""

    route: Sequence[Point]
    """Way-points of a patrol, driven there and back; map frame, metres."""
    places: Mapping[str, Point]
    """Where `go to NAME` leads."""


class Mission:
    """One command being carried out."""

    def __init__(self, command: Command, site: Site, pose: Pose) -> None:
        """Begin.

        Args:
            command: An understood one: patrol, go, turn, wait.
            site: Route and places.
            pose: Where the rover is.

        Raises:
            ConfigError: The command names a place that is not known, a verb this can't do, or a
                number that makes no sense.
        """
        self.command, self.text = command, command.text
        self.laps = 0
        self.wait_s = 0.0
        self.turn_to: float | None = None
        self._rounds = 0
        self._has_been_there = False
        self._goals: list[Point] = []
        self._index, self._direction = 0, 1
        self._is_patrol = command.verb == "patrol"
        match command.verb:
            case "patrol":
                self._begin_patrol(command.args, site, pose)
            case "go":
                self._goals = [_point(command.args, site)]
            case "turn":
                turn = _TURNS.get(command.args.get("direction", ""), 0.0)
                if "degrees" in command.args:
                    degrees = abs(_number(command.args, "degrees", -360.0, 360.0))
                    turn = math.copysign(math.radians(min(180.0, degrees)), turn)
                self.turn_to = math.remainder(pose.yaw_rad + turn, math.tau)
            case "wait":
                self.wait_s = _number(command.args, "seconds", 0.0, LONGEST_WAIT_S)
            case verb:
                raise ConfigError(f"{verb!r} is nothing to carry out; patrol, go, turn or wait")

    @property
    def goal(self) -> Point | None:
        """The way-point to drive to; None when there is none left."""
        return self._goals[self._index] if 0 <= self._index < len(self._goals) else None

    @property
    def is_over(self) -> bool:
        """Whether everything was done."""
        return self.goal is None and self.turn_to is None and self.wait_s <= 0

    def has_reached(self, pose: Pose) -> bool:
        """Tell whether the way-point is near, or was passed at some distance on a patrol."""
        goal = self.goal
        if goal is None:
            return False
        dx, dy = pose.x_m - goal[0], pose.y_m - goal[1]
        away = math.hypot(dx, dy)
        before = self._index - self._direction
        if away < NEAR_M or not self._is_patrol or not 0 <= before < len(self._goals):
            return away < NEAR_M
        x, y = self._goals[before]
        is_beyond = dx * (goal[0] - x) + dy * (goal[1] - y) > 0
        return is_beyond and away < PASSED_M

    def reached(self) -> None:
        """Go on to the next way-point; a patrol turns round at the ends of its route."""
        if not self._is_patrol:
            self._index = len(self._goals)
            return
        if not 0 <= self._index + self._direction < len(self._goals):
            self._direction = -self._direction
            self._count_end()
        self._index += self._direction
        if self._rounds and self.laps >= self._rounds:
            self._goals = []

    def _count_end(self) -> None:
        """Count a lap at the start of the route, if its far end was visited since the last one."""
        if self._direction < 0:
            self._has_been_there = True
        elif self._has_been_there:
            self._has_been_there = False
            self.laps += 1

    def turn_back(self) -> bool:
        """Drive a patrol's route the other way from here; return False if there is no other way."""
        back = self._index - self._direction
        if not self._is_patrol or not 0 <= back < len(self._goals):
            return False
        self._index, self._direction = back, -self._direction
        return True

    def _begin_patrol(self, args: Mapping[str, str], site: Site, pose: Pose) -> None:
        if len(site.route) < 2:
            raise ConfigError("a patrol needs a route of at least 2 way-points; set param 'route'")
        place = args.get("place", "")
        if place not in ("", "corridor", "route", "building"):
            raise ConfigError(f"no route called {place!r} is known; say 'patrol the corridor'")
        self._goals = list(site.route)
        self._rounds = int(_number({"rounds": "0"} | dict(args), "rounds", 0, MOST_ROUNDS))
        ahead = [
            i
            for i, (x, y) in enumerate(self._goals)
            if math.cos(math.atan2(y - pose.y_m, x - pose.x_m) - pose.yaw_rad) > 0
            and math.hypot(x - pose.x_m, y - pose.y_m) > 0.5
        ]
        self._index = min(ahead, key=lambda i: self._away(i, pose), default=0)
        behind = self._index + 1 < len(self._goals) and not self._is_onward(pose)
        self._direction = -1 if behind and self._index > 0 else 1

    def _away(self, index: int, pose: Pose) -> float:
        x, y = self._goals[index]
        return math.hypot(x - pose.x_m, y - pose.y_m)

    def _is_onward(self, pose: Pose) -> bool:
        """Tell whether the route's later points lie ahead of the robot rather than behind."""
        (x, y), (nx, ny) = self._goals[self._index], self._goals[self._index + 1]
        return math.cos(math.atan2(ny - y, nx - x) - pose.yaw_rad) >= 0


def _number(args: Mapping[str, str], name: str, low: float, high: float) -> float:
    # A command may come over the wire, past the grammar: "nan" and "inf" are floats to Python.
    text = args.get(name, "")
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise ConfigError(f"{name}={text!r:.40} is no number from {low:g} to {high:g}")
    return number


def _point(args: Mapping[str, str], site: Site) -> Point:
    if "x" in args:
        x_m, y_m = (_number(args, axis, -FARTHEST_M, FARTHEST_M) for axis in ("x", "y"))
        return x_m, y_m
    place = args.get("place", "")
    if place not in site.places:
        raise ConfigError(f"no place {place!r} is known; {did_you_mean(place, site.places)}")
    return site.places[place]
