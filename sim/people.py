"""People who walk seeded way-points, give the rover room, and swing their limbs."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from olympus.sim.floorplan import CORRIDOR_LENGTH_M, HALF_WIDTH_M, FloorPlan, Room

Point = tuple[float, float]
"""x, y on the floor, world frame, metres."""

ROVER_ROOM_M = 0.8
"""Nobody steps nearer to the rover's middle than this."""
PERSON_ROOM_M = 0.6
ARRIVED_M = 0.25
TURN_RATE_RADPS = 4.0
PATIENCE_S = 6.0
"""Who has come no nearer to the way-point for so long turns to the next one."""
_DETOURS_RAD = (0.0, 0.5, -0.5, 1.0, -1.0, 1.5, -1.5, 2.0, -2.0)


@dataclass(frozen=True, slots=True)
class Walk:
    """What one person does all day: way-points in a loop."""

    way: tuple[Point, ...]
    speed_mps: float = 0.9
    pause_s: float = 1.0
    """How long to stand at the first way-point of each round."""
    start_after_s: float = 0.0


@dataclass(slots=True)
class Person:
    """One walking person; positions in the world frame, metres and radians."""

    walk: Walk
    x: float
    y: float
    yaw: float = 0.0
    speed_mps: float = 0.0
    gait: float = 0.0
    """Phase of the stride, radians."""
    target: int = 1
    rest_s: float = 0.0
    stuck_s: float = 0.0
    nearest_m: float = math.inf

    @property
    def goal(self) -> Point:
        """The way-point in reach."""
        return self.walk.way[self.target % len(self.walk.way)]


@dataclass(slots=True)
class Crowd:
    """Everybody in the building."""

    plan: FloorPlan
    people: list[Person] = field(default_factory=list)

    @classmethod
    def of(cls, plan: FloorPlan, walks: Sequence[Walk]) -> Crowd:
        """Put one person at the start of each walk."""
        return cls(plan, [_at_start(walk) for walk in walks])

    def step(self, dt: float, rover: Point) -> None:
        """Let everybody walk on for `dt` seconds."""
        for person in self.people:
            others = [(o.x, o.y) for o in self.people if o is not person]
            self._step(person, dt, rover, others)

    def _step(self, person: Person, dt: float, rover: Point, others: list[Point]) -> None:
        if person.rest_s > 0:
            person.rest_s = max(0.0, person.rest_s - dt)
            _walk_at(person, 0.0, dt)
            return
        self._choose_target(person, dt)
        heading = self._heading(person, rover, others)
        if heading is None:
            _walk_at(person, 0.0, dt)
            return
        turn = _wrap(heading - person.yaw)
        person.yaw = _wrap(person.yaw + max(-1.0, min(1.0, turn)) * TURN_RATE_RADPS * dt)
        _walk_at(person, person.walk.speed_mps * (1.0 if abs(turn) < 1.0 else 0.4), dt)
        step_m = person.speed_mps * dt
        x, y = person.x + math.cos(heading) * step_m, person.y + math.sin(heading) * step_m
        if self._may_stand((x, y), (person.x, person.y), rover, others):
            person.x, person.y = x, y

    def _choose_target(self, person: Person, dt: float) -> None:
        """Go on to the next way-point on arrival, or when this one can't be reached."""
        away = math.dist(person.goal, (person.x, person.y))
        if away < person.nearest_m - 0.05:
            person.nearest_m, person.stuck_s = away, 0.0
        else:
            person.stuck_s += dt
        if away < ARRIVED_M:
            person.target = (person.target + 1) % len(person.walk.way)
            person.rest_s = person.walk.pause_s if person.target == 1 else 0.0
        elif person.stuck_s > PATIENCE_S:
            # Back to where one came from; the way there was free a moment ago.
            person.target = (person.target - 1) % len(person.walk.way)
        else:
            return
        person.nearest_m, person.stuck_s = math.inf, 0.0

    def _heading(self, person: Person, rover: Point, others: list[Point]) -> float | None:
        """Choose the direction nearest to the goal's in which the next half metre is free."""
        here = (person.x, person.y)
        straight = math.atan2(person.goal[1] - person.y, person.goal[0] - person.x)
        for detour in _DETOURS_RAD:
            heading = straight + detour
            steps = (0.12, 0.3, 0.5) if detour else (0.12, 0.35)
            ahead = (
                (here[0] + math.cos(heading) * s, here[1] + math.sin(heading) * s) for s in steps
            )
            if all(self._may_stand(point, here, rover, others) for point in ahead):
                return heading
        return None

    def _may_stand(self, point: Point, here: Point, rover: Point, others: list[Point]) -> bool:
        """Tell whether a step there leaves everybody their room, or at least makes more of it."""
        for room_m, other in ((ROVER_ROOM_M, rover), *((PERSON_ROOM_M, o) for o in others)):
            away = math.dist(point, other)
            if away < room_m and away <= math.dist(here, other):
                return False
        return self.plan.is_free(*point) or not self.plan.is_free(*here)


def _at_start(walk: Walk) -> Person:
    (x, y), (next_x, next_y) = walk.way[0], walk.way[1 % len(walk.way)]
    yaw = math.atan2(next_y - y, next_x - x)
    return Person(walk, x, y, yaw, rest_s=walk.start_after_s)


def _walk_at(person: Person, speed_mps: float, dt: float) -> None:
    """Approach a speed smoothly and move the legs with it; standing people put their feet down."""
    change = max(-2.5 * dt, min(2.5 * dt, speed_mps - person.speed_mps))
    person.speed_mps += change
    person.gait = (person.gait + person.speed_mps * dt * 4.6) % (2 * math.pi)


def _wrap(angle: float) -> float:
    return math.remainder(angle, 2 * math.pi)


def draw_walks(plan: FloorPlan, count: int, seed: int) -> tuple[Walk, ...]:
    """Invent what `count` people do: the first walks the corridor, the others go room to room."""
    rng = random.Random(f"walks {plan.seed} {seed}")
    return tuple(
        _along_the_corridor(rng) if i % 3 == 0 else _room_to_room(plan, rng) for i in range(count)
    )


def _along_the_corridor(rng: random.Random) -> Walk:
    lane, near, far = rng.uniform(0.35, 0.7), rng.uniform(3.0, 5.0), rng.uniform(2.0, 4.0)
    end = CORRIDOR_LENGTH_M - far
    way = ((end, lane), (near, lane), (near, -lane), (end, -lane))
    return Walk(way, rng.uniform(0.7, 1.0), rng.uniform(1.0, 4.0))


def _room_to_room(plan: FloorPlan, rng: random.Random) -> Walk:
    one, other = rng.sample(plan.rooms, 2)
    way = (
        *through_door(one, into=False),
        *through_door(other, into=True),
        *through_door(other, into=False),
        *through_door(one, into=True),
    )
    return Walk(way, rng.uniform(0.7, 1.1), rng.uniform(2.0, 8.0), rng.uniform(0.0, 6.0))


def through_door(room: Room, *, into: bool) -> tuple[Point, ...]:
    """Give the way-points from a room's middle out into the corridor, or back in."""
    inner = (room.door_x, room.side * (HALF_WIDTH_M + 0.9))
    outer = (room.door_x, room.side * (HALF_WIDTH_M - 0.6))
    way = (room.area.centre, inner, outer)
    return way[::-1] if into else way
