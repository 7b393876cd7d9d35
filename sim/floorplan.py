"""Where the walls, doors, rooms and furniture of the building are, as plain data.

World frame: x along the corridor, y to its left, z up, metres. Nothing here needs MuJoCo, so a
navigator or a viewer may read the plan too.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

CORRIDOR_LENGTH_M = 18.0
CORRIDOR_WIDTH_M = 2.8
ROOM_WIDTH_M = 6.0
ROOM_DEPTH_M = 4.0
WALL_HEIGHT_M = 2.6
WALL_HALF_M = 0.05
DOOR_WIDTH_M = 1.2
DOOR_HEIGHT_M = 2.1
HALF_WIDTH_M = CORRIDOR_WIDTH_M / 2
OUTER_Y_M = HALF_WIDTH_M + ROOM_DEPTH_M

PATROL_ROUTE: tuple[tuple[float, float], ...] = (
    (1.5, 0.0),
    (5.0, 0.0),
    (9.0, 0.0),
    (13.0, 0.0),
    (16.5, 0.0),
)
"""Way-points on the corridor's axis, in metres; driven there and back."""

START_POSE: tuple[float, float, float] = (1.5, 0.0, 0.0)
"""Where the rover stands at first: x, y in metres, yaw in radians."""

ROOM_NAMES = ("office", "kitchen", "lab", "store", "meeting", "workshop")
"""North side (y > 0) from x = 0 upwards, then the south side."""


@dataclass(frozen=True, slots=True)
class Rect:
    """An axis-aligned rectangle on the floor, in metres."""

    x0: float
    y0: float
    x1: float
    y1: float

    def holds(self, x: float, y: float, margin_m: float = 0.0) -> bool:
        """Tell whether a point is inside by at least `margin_m`."""
        return (
            self.x0 + margin_m <= x <= self.x1 - margin_m
            and self.y0 + margin_m <= y <= self.y1 - margin_m
        )

    @property
    def centre(self) -> tuple[float, float]:
        """The middle point, in metres."""
        return (self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2


@dataclass(frozen=True, slots=True)
class Room:
    """A room at the corridor and its one doorway."""

    name: str
    area: Rect
    door_x: float
    side: int
    """+1 north of the corridor, -1 south."""

    @property
    def doorway(self) -> Rect:
        """The passage through the wall, a little longer than the wall is thick."""
        wall_y = self.side * HALF_WIDTH_M
        return Rect(
            self.door_x - DOOR_WIDTH_M / 2,
            wall_y - 0.45,
            self.door_x + DOOR_WIDTH_M / 2,
            wall_y + 0.45,
        )


@dataclass(frozen=True, slots=True)
class Thing:
    """A piece of furniture that stands on the floor."""

    kind: str
    """One of `FURNITURE`."""
    x: float
    y: float
    yaw: float
    radius_m: float
    """Of the circle around it."""


@dataclass(frozen=True, slots=True)
class FloorPlan:
    """One variant of the building, fully determined by its seed."""

    seed: int
    rooms: tuple[Room, ...]
    things: tuple[Thing, ...]

    def is_free(self, x: float, y: float, margin_m: float = 0.28) -> bool:
        """Tell whether somebody `margin_m` wide can stand there, walls and furniture considered."""
        return self.is_floor(x, y, margin_m) and not any(
            (x - t.x) ** 2 + (y - t.y) ** 2 < (t.radius_m + margin_m * 0.9) ** 2
            for t in self.things
        )

    def is_floor(self, x: float, y: float, margin_m: float = 0.28) -> bool:
        """Tell whether the point is in the corridor, a room or a doorway, clear of the walls."""
        if CORRIDOR.holds(x, y, margin_m):
            return True
        return any(
            room.area.holds(x, y, margin_m)
            or (room.doorway.holds(x, y) and abs(x - room.door_x) <= DOOR_WIDTH_M / 2 - margin_m)
            for room in self.rooms
        )

    def room_at(self, x: float, y: float) -> str:
        """Name the room at a point; "corridor" elsewhere."""
        return next((r.name for r in self.rooms if r.area.holds(x, y)), "corridor")

    def room(self, name: str) -> Room:
        """Find a room by its name.

        Raises:
            KeyError: No room has this name.
        """
        for room in self.rooms:
            if room.name == name:
                return room
        raise KeyError(f"no room {name!r}; the building has {', '.join(ROOM_NAMES)}")


CORRIDOR = Rect(0.0, -HALF_WIDTH_M, CORRIDOR_LENGTH_M, HALF_WIDTH_M)
CORRIDOR_FACES = Rect(
    WALL_HALF_M,
    WALL_HALF_M - HALF_WIDTH_M,
    CORRIDOR_LENGTH_M - WALL_HALF_M,
    HALF_WIDTH_M - WALL_HALF_M,
)
"""Inner faces of the corridor's walls: what range sensors see."""

FURNITURE: dict[str, float] = {
    "box": 0.26,
    "bin": 0.20,
    "chair": 0.32,
    "plant": 0.24,
    "table": 0.75,
    "cabinet": 0.50,
    "cone": 0.20,
}
"""Kinds of furniture and the radius of the circle around each, in metres."""


def plan_building(seed: int) -> FloorPlan:
    """Draw the variant of the building that belongs to `seed`."""
    rng = random.Random(f"plan {seed}")
    rooms = tuple(_room(i, name, rng) for i, name in enumerate(ROOM_NAMES))
    things = [t for room in rooms for t in _furnish_room(room, rng)]
    things += _furnish_corridor(rooms, rng)
    return FloorPlan(seed, rooms, tuple(things))


def _room(index: int, name: str, rng: random.Random) -> Room:
    side = 1 if index < 3 else -1
    x0 = (index % 3) * ROOM_WIDTH_M
    near, far = side * HALF_WIDTH_M, side * OUTER_Y_M
    area = Rect(x0, min(near, far), x0 + ROOM_WIDTH_M, max(near, far))
    return Room(name, area, round(x0 + rng.uniform(1.6, ROOM_WIDTH_M - 1.6), 2), side)


def _furnish_room(room: Room, rng: random.Random) -> list[Thing]:
    """Put furniture along the far wall and into the near corners, off the door and the middle."""
    far_y = room.side * (OUTER_Y_M - 0.75)
    near_y = room.side * (HALF_WIDTH_M + 0.55)
    x0, x1 = room.area.x0, room.area.x1
    spots = [(x0 + 1.0, far_y), (x0 + 2.7, far_y), (x1 - 1.2, far_y)]
    spots += [(x, near_y) for x in (x0 + 0.55, x1 - 0.55) if abs(x - room.door_x) > 1.0]
    things = []
    for x, y in spots:
        if rng.random() < 0.25:
            continue
        big = abs(y) > OUTER_Y_M - 1
        kind = rng.choice(
            ["table", "cabinet", "chair", "plant", "box"]
            if big
            else ["bin", "plant", "box", "chair"]
        )
        things.append(_thing(kind, x, y, rng))
    return things


def _furnish_corridor(rooms: tuple[Room, ...], rng: random.Random) -> list[Thing]:
    """Put a few obstacles beside the axis; at least 1.5 m of the width stays free at each."""
    things: list[Thing] = []
    doors = [(r.door_x, r.side) for r in rooms]
    for slot_x in (3.2, 6.2, 8.8, 11.6, 14.6):
        if rng.random() < 0.15:
            continue
        side = rng.choice((-1, 1))
        x = slot_x + rng.uniform(-0.5, 0.5)
        if any(s == side and abs(x - door) < 1.0 for door, s in doors):
            side = -side
        if any(s == side and abs(x - door) < 1.0 for door, s in doors):
            continue
        kind = rng.choice(["box", "bin", "plant", "chair", "cone"])
        inset = rng.uniform(0.03, 0.25)
        y = side * (HALF_WIDTH_M - FURNITURE[kind] - inset)
        things.append(_thing(kind, x, y, rng))
    return things


def _thing(kind: str, x: float, y: float, rng: random.Random) -> Thing:
    square = kind in ("table", "cabinet")
    yaw = 0.0 if square else rng.uniform(-3.14, 3.14)
    return Thing(kind, round(x, 3), round(y, 3), round(yaw, 3), FURNITURE[kind])
