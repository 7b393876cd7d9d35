"""The MuJoCo model of the building, written from the floor plan and the palette."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import mujoco
import numpy as np
from numpy.typing import NDArray

from olympus.sim import figures, floorplan
from olympus.sim.figures import geom
from olympus.sim.floorplan import FloorPlan, Room, plan_building
from olympus.sim.palette import Palette, mix_palette

PHYSICS_STEP_S = 0.005


class Kind(IntEnum):
    """What a pixel or a geom belongs to; the classes a detector is trained on."""

    BACKGROUND = 0
    PERSON = 1
    OBSTACLE = 2


class Surface(IntEnum):
    """How a geom is painted."""

    PLAIN = 0
    WALL = 1


@dataclass(frozen=True, slots=True, eq=False)
class Building:
    """A compiled model and what its geoms mean.

    All arrays have one entry for each geom of the model.
    """

    model: mujoco.MjModel
    plan: FloorPlan
    palette: Palette
    people: int
    kinds: NDArray[np.uint8]
    """`Kind` of each geom."""
    things: NDArray[np.int32]
    """Which individual it belongs to: person i is i, furniture i is 1000 + i, others -1."""
    surfaces: NDArray[np.uint8]
    """`Surface` of each geom."""
    colours: NDArray[np.float32]
    """(n, 3), 0..1."""


def build(seed: int, *, people: int = 3) -> Building:
    """Make the variant of the building that belongs to `seed`.

    Args:
        seed: Chooses doors, furniture, colours, clothes.
        people: How many walk in it, 0..8.
    """
    plan, palette = plan_building(seed), mix_palette(seed)
    model = mujoco.MjModel.from_xml_string(_mjcf(plan, palette, people))
    names = [model.geom(i).name for i in range(model.ngeom)]
    surfaces = np.array([n.startswith("wall") for n in names], np.uint8)
    # Rays find painted textures there, OpenGL this colour.
    model.geom_rgba[surfaces == Surface.WALL, :3] = palette.wall
    return Building(
        model=model,
        plan=plan,
        palette=palette,
        people=people,
        kinds=np.array([_kind(n) for n in names], np.uint8),
        things=np.array([_individual(n) for n in names], np.int32),
        surfaces=surfaces,
        colours=model.geom_rgba[:, :3].astype(np.float32),
    )


def _kind(name: str) -> Kind:
    return {"person": Kind.PERSON, "thing": Kind.OBSTACLE}.get(name.split(".")[0], Kind.BACKGROUND)


def _individual(name: str) -> int:
    word, *rest = name.split(".")
    return {"person": 0, "thing": 1000}[word] + int(rest[0]) if word in ("person", "thing") else -1


def _mjcf(plan: FloorPlan, palette: Palette, people: int) -> str:
    world = [
        geom(
            "floor", "plane", "0 0 1", (1, 1, 1), group=str(figures.GROUP_FLOOR), material="tiles"
        ),
        *_overhead(),
        *_walls(plan),
        *(_door_leaf(room, palette.doors[i]) for i, room in enumerate(plan.rooms)),
        *(figures.furniture(i, thing) for i, thing in enumerate(plan.things)),
        *(figures.person(i, plan.seed) for i in range(people)),
        figures.rover(),
    ]
    return f"""<mujoco model="olympus">
      <compiler angle="radian"/>
      <option timestep="{PHYSICS_STEP_S}" integrator="implicitfast" iterations="20"/>
      <default><geom contype="0" conaffinity="1" friction="1 0.005 0.0001"/></default>
      {_gl_looks(palette)}
      <worldbody>{"".join(world)}</worldbody>
      <actuator>
        <velocity name="left" joint="left" kv="5" forcerange="-4 4"/>
        <velocity name="right" joint="right" kv="5" forcerange="-4 4"/>
      </actuator>
      <sensor>
        <accelerometer name="accel" site="imu"/><gyro name="gyro" site="imu"/>
      </sensor>
    </mujoco>"""


def _gl_looks(palette: Palette) -> str:
    """Write what only OpenGL pictures show: lamps' strength and floor tiles."""
    light, dark = (" ".join(map(str, c)) for c in (palette.floor_light, palette.floor_dark))
    repeat = 1 / (2 * palette.tile_m)
    return f"""<visual>
        <headlight ambient="0.62 0.62 0.62" diffuse="0.18 0.18 0.18" specular="0 0 0"/>
        <quality shadowsize="2048" offsamples="4"/><map znear="0.002"/>
      </visual>
      <asset>
        <texture name="tiles" type="2d" builtin="checker" width="256" height="256"
          rgb1="{light}" rgb2="{dark}"/>
        <material name="tiles" texture="tiles" texuniform="true" texrepeat="{repeat} {repeat}"/>
      </asset>"""


def _overhead() -> Iterator[str]:
    """Hang a ceiling and lamps along the corridor, for OpenGL pictures."""
    size = f"{floorplan.CORRIDOR_LENGTH_M / 2} {floorplan.OUTER_Y_M} 0.01"
    where = f"{floorplan.CORRIDOR_LENGTH_M / 2} 0 {floorplan.WALL_HEIGHT_M + 0.011}"
    look = {"group": str(figures.GROUP_FLOOR), "conaffinity": "0"}
    yield geom("ceiling", "box", size, (0.95, 0.95, 0.93), pos=where, **look)
    for x in (3.0, 9.0, 15.0):
        yield (
            f'<light pos="{x} 0 2.55" dir="0.1 0.1 -1" diffuse="0.3 0.3 0.28" '
            'specular="0.1 0.1 0.1" attenuation="1 0.04 0.01" cutoff="85"/>'
        )


def _walls(plan: FloorPlan) -> Iterator[str]:
    half, length = floorplan.WALL_HALF_M, floorplan.CORRIDOR_LENGTH_M
    outer = floorplan.OUTER_Y_M
    for i, x in enumerate((0.0, length)):
        yield _wall(f"end.{i}", x, 0.0, half, outer + 2 * half)
    for side, rooms in ((1, plan.rooms[:3]), (-1, plan.rooms[3:])):
        yield _wall(f"outer.{side}", length / 2, side * (outer + half), length / 2, half)
        yield from _corridor_wall(side, rooms)
        for x in (floorplan.ROOM_WIDTH_M, 2 * floorplan.ROOM_WIDTH_M):
            y = side * (floorplan.HALF_WIDTH_M + floorplan.ROOM_DEPTH_M / 2)
            yield _wall(f"part.{side}.{x}", x, y, half, floorplan.ROOM_DEPTH_M / 2)


def _corridor_wall(side: int, rooms: tuple[Room, ...]) -> Iterator[str]:
    """Write the pieces of wall between the doors, and the lintels over them."""
    half, y = floorplan.WALL_HALF_M, side * floorplan.HALF_WIDTH_M
    edges = [0.0]
    for room in rooms:
        edges += [room.doorway.x0, room.doorway.x1]
    edges.append(floorplan.CORRIDOR_LENGTH_M)
    for i in range(0, len(edges), 2):
        x0, x1 = edges[i], edges[i + 1]
        yield _wall(f"corridor.{side}.{i}", (x0 + x1) / 2, y, (x1 - x0) / 2, half)
    low, top = floorplan.DOOR_HEIGHT_M, floorplan.WALL_HEIGHT_M
    for room in rooms:
        yield geom(
            f"wall.lintel.{room.name}",
            "box",
            f"{floorplan.DOOR_WIDTH_M / 2} {half} {(top - low) / 2}",
            (0.9, 0.9, 0.9),
            pos=f"{room.door_x} {y} {(top + low) / 2}",
        )


def _wall(name: str, x: float, y: float, half_x: float, half_y: float) -> str:
    height = floorplan.WALL_HEIGHT_M / 2
    return geom(
        f"wall.{name}",
        "box",
        f"{half_x} {half_y} {height}",
        (0.9, 0.9, 0.9),
        pos=f"{x} {y} {height}",
    )


def _door_leaf(room: Room, colour: tuple[float, float, float]) -> str:
    """Write a door that stands open into its room."""
    half = floorplan.DOOR_WIDTH_M / 2 - 0.06
    hinge_x = room.door_x + floorplan.DOOR_WIDTH_M / 2
    y = room.side * (floorplan.HALF_WIDTH_M + floorplan.WALL_HALF_M + half)
    return geom(
        f"door.{room.name}",
        "box",
        f"0.02 {half} {floorplan.DOOR_HEIGHT_M / 2 - 0.02}",
        colour,
        pos=f"{hinge_x} {y} {floorplan.DOOR_HEIGHT_M / 2}",
    )
