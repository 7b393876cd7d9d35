"""Textures of the building, drawn once with numpy: walls as an atlas, floor and ceiling as maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olympus.sim import floorplan
from olympus.sim.floorplan import FloorPlan
from olympus.sim.palette import Palette, Rgb

WALL_TEXEL_M = 0.03
FLOOR_TEXEL_M = 0.05
FACES = ("corridor+", "corridor-", "room+", "room-", "outer+", "outer-", "end0", "end1", "plain")
"""Rows of the wall atlas; the sign is the side of the building."""
SKIRTING: Rgb = (0.30, 0.29, 0.28)
WINDOW: Rgb = (0.78, 0.90, 1.0)

Texels = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Textures:
    """What surfaces look like before light falls on them.

    Row 0 of a wall is at the floor. Floor and ceiling start at (x, y) = (0, -OUTER_Y_M).
    """

    walls: Texels
    """(faces, height, length, 3), 0..1."""
    grounds: Texels
    """(3, y, x, 3): floor near by, floor far away (blurred), ceiling."""


def paint(plan: FloorPlan, palette: Palette) -> Textures:
    """Draw all textures of one building."""
    return Textures(_paint_walls(plan, palette), _paint_grounds(plan, palette))


def _paint_walls(plan: FloorPlan, palette: Palette) -> Texels:
    length = round(floorplan.CORRIDOR_LENGTH_M / WALL_TEXEL_M)
    height = round(floorplan.WALL_HEIGHT_M / WALL_TEXEL_M)
    atlas = np.empty((len(FACES), height, length, 3), np.float32)
    atlas[:] = palette.wall
    rng = np.random.default_rng([plan.seed, 11])
    for face in ("corridor+", "corridor-", "end0", "end1"):
        _bands(atlas[FACES.index(face)], palette)
    _room_bands(atlas, plan, palette)
    for side, sign in ((1, "+"), (-1, "-")):
        corridor = atlas[FACES.index(f"corridor{sign}")]
        _posters(corridor, plan, side, rng)
        _door_frames(corridor, plan, palette, side)
        _door_frames(atlas[FACES.index(f"room{sign}")], plan, palette, side)
        _windows(atlas[FACES.index(f"outer{sign}")])
    for face in ("end0", "end1"):
        _end_wall(atlas[FACES.index(face)], palette)
    atlas[:, : _v(0.10)] = SKIRTING
    # Ambient occlusion: corners at floor and ceiling get less light.
    z = (np.arange(height, dtype=np.float32) + 0.5) * WALL_TEXEL_M
    shade = 1 - 0.22 * np.exp(-z / 0.25) - 0.15 * np.exp(-(floorplan.WALL_HEIGHT_M - z) / 0.2)
    return np.asarray(atlas * shade[None, :, None, None], np.float32)


def _rgb(colour: Rgb) -> Texels:
    return np.array(colour, np.float32)


def _v(z_m: float) -> int:
    return round(z_m / WALL_TEXEL_M)


def _span(centre_m: float, width_m: float) -> slice:
    return slice(max(0, _v(centre_m - width_m / 2)), max(0, _v(centre_m + width_m / 2)))


def _bands(face: Texels, palette: Palette) -> None:
    face[: _v(0.95)] = palette.band
    face[_v(0.95) : _v(1.03)] = palette.stripe


def _room_bands(atlas: Texels, plan: FloorPlan, palette: Palette) -> None:
    """Give each room a tint of its door's colour on its walls."""
    wall = _rgb(palette.wall)
    for i, room in enumerate(plan.rooms):
        span = slice(_v(room.area.x0), _v(room.area.x1))
        tint = 0.72 * wall + 0.28 * _rgb(palette.doors[i])
        sign = "+" if room.side > 0 else "-"
        for face in (f"room{sign}", f"outer{sign}"):
            atlas[FACES.index(face), :, span] = tint


def _door_frames(face: Texels, plan: FloorPlan, palette: Palette, side: int) -> None:
    for i, room in enumerate(plan.rooms):
        if room.side != side:
            continue
        frame = _rgb(palette.doors[i]) * 0.85
        face[: _v(floorplan.DOOR_HEIGHT_M + 0.12), _span(room.door_x, 1.44)] = frame
        sign_x = room.door_x + floorplan.DOOR_WIDTH_M / 2 + 0.34
        face[_v(1.45) : _v(1.66), _span(sign_x, 0.24)] = (0.97, 0.97, 0.95)
        face[_v(1.52) : _v(1.58), _span(sign_x, 0.16)] = frame


def _posters(face: Texels, plan: FloorPlan, side: int, rng: np.random.Generator) -> None:
    doors = [room.door_x for room in plan.rooms if room.side == side]
    for x in np.arange(0.9, floorplan.CORRIDOR_LENGTH_M - 0.5, 1.5):
        if rng.random() < 0.45 or min(abs(x - door) for door in doors) < 1.5:
            continue
        ground = rng.uniform(0.15, 0.95, 3)
        face[_v(1.22) : _v(1.94), _span(float(x), 0.56)] = (0.15, 0.15, 0.16)
        face[_v(1.26) : _v(1.90), _span(float(x), 0.48)] = ground
        middle, accent = rng.uniform(1.4, 1.7), rng.uniform(0.1, 0.98, 3)
        face[_v(middle) : _v(middle + 0.14), _span(float(x), 0.34)] = accent


def _windows(face: Texels) -> None:
    for x in np.arange(1.5, floorplan.CORRIDOR_LENGTH_M, 3.0):
        face[_v(0.92) : _v(2.12), _span(float(x), 1.8)] = (0.96, 0.96, 0.95)
        for pane in (x - 0.43, x + 0.43):
            panes = face[_v(1.0) : _v(2.05), _span(float(pane), 0.78)]
            glow = np.linspace(0.88, 1.25, panes.shape[0], dtype=np.float32)[:, None, None]
            panes[:] = _rgb(WINDOW) * glow


def _end_wall(face: Texels, palette: Palette) -> None:
    """Draw a tall bright window with a cross bar; u runs along y from -OUTER_Y_M."""
    middle = floorplan.OUTER_Y_M
    face[_v(0.45) : _v(2.25), _span(middle, 1.5)] = palette.stripe
    panes = face[_v(0.55) : _v(2.15), _span(middle, 1.3)]
    glow = np.linspace(0.85, 1.3, panes.shape[0], dtype=np.float32)[:, None, None]
    panes[:] = _rgb(WINDOW) * glow
    face[_v(1.34) : _v(1.40), _span(middle, 1.3)] = (0.95, 0.95, 0.94)
    face[_v(0.55) : _v(2.15), _span(middle, 0.07)] = (0.95, 0.95, 0.94)


def _paint_grounds(plan: FloorPlan, palette: Palette) -> Texels:
    width = round(floorplan.CORRIDOR_LENGTH_M / FLOOR_TEXEL_M)
    depth = round(2 * floorplan.OUTER_Y_M / FLOOR_TEXEL_M)
    x = (np.arange(width, dtype=np.float32) + 0.5) * FLOOR_TEXEL_M
    y = (np.arange(depth, dtype=np.float32) + 0.5) * FLOOR_TEXEL_M - floorplan.OUTER_Y_M
    xx, yy = np.meshgrid(x, y)
    floor = _tiles(xx, yy, plan, palette)
    lamps = _lamps(xx, yy)
    light = 0.86 + 0.20 * np.exp(-(yy**2) / 0.5) * np.cos(xx * 2 * np.pi / 3.0 - np.pi) ** 2
    floor *= (light * _contact_shadow(xx, yy, plan))[..., None]
    ceiling = np.empty_like(floor)
    ceiling[:] = palette.ceiling
    seam = (np.mod(xx, 0.6) < 0.04) | (np.mod(yy + 6, 0.6) < 0.04)
    ceiling[seam] *= 0.9
    ceiling[lamps] = (1.3, 1.28, 1.22)
    return np.stack([floor, _blur(floor), ceiling]).astype(np.float32)


def _tiles(xx: Texels, yy: Texels, plan: FloorPlan, palette: Palette) -> Texels:
    column = np.floor(xx / palette.tile_m).astype(int)
    row = np.floor((yy + 100 * palette.tile_m) / palette.tile_m).astype(int)
    light = ((column + row) % 2 == 0)[..., None]
    floor = np.where(light, _rgb(palette.floor_light), _rgb(palette.floor_dark))
    rng = np.random.default_rng([plan.seed, 12])
    wear = rng.normal(1.0, 0.025, (row.max() + 1, column.max() + 1)).astype(np.float32)
    floor *= wear[row, column][..., None]
    for i, room in enumerate(plan.rooms):
        inside = (xx > room.area.x0) & (xx < room.area.x1)
        inside &= (yy > room.area.y0) & (yy < room.area.y1)
        carpet = 0.45 * _rgb(palette.doors[i]) + 0.55 * _rgb(palette.floor_dark)
        floor[inside] = 0.6 * carpet + 0.4 * floor[inside]
    return floor.astype(np.float32)


def _lamps(xx: Texels, yy: Texels) -> NDArray[np.bool_]:
    along = np.abs(np.mod(xx, 3.0) - 1.5)
    corridor = (along < 0.62) & (np.abs(yy) < 0.22)
    room = (along < 0.5) & (np.abs(np.abs(yy) - 3.4) < 0.35)
    return np.asarray(corridor | room)


def _contact_shadow(xx: Texels, yy: Texels, plan: FloorPlan) -> Texels:
    """Darken the floor at walls and under furniture."""
    wall = np.minimum(np.abs(np.abs(yy) - floorplan.HALF_WIDTH_M), floorplan.OUTER_Y_M - abs(yy))
    wall = np.minimum(wall, np.minimum(xx, floorplan.CORRIDOR_LENGTH_M - xx))
    shade = 1 - 0.28 * np.exp(-wall / 0.16)
    for room in plan.rooms:
        in_door = (np.abs(xx - room.door_x) < 0.6) & (yy * room.side > 0)
        shade[in_door & (np.abs(np.abs(yy) - floorplan.HALF_WIDTH_M) < 0.5)] = 0.95
    for thing in plan.things:
        away = np.hypot(xx - thing.x, yy - thing.y) / (thing.radius_m * 1.05)
        shade *= 1 - 0.45 * np.exp(-(away**4))
    return np.asarray(shade, np.float32)


def _blur(image: Texels, radius: int = 4) -> Texels:
    """Average over a square of (2 radius + 1) texels: what a far floor looks like."""
    padded = np.pad(image, ((radius, radius), (radius, radius), (0, 0)), mode="edge")
    size = 2 * radius + 1
    rows = np.stack([padded[i : i + image.shape[0]] for i in range(size)]).mean(0)
    return np.asarray(
        np.stack([rows[:, i : i + image.shape[1]] for i in range(size)]).mean(0), np.float32
    )
