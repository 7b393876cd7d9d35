"""Light and paint: from what rays met to colours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from olympus.sim import floorplan
from olympus.sim.building import Building, Surface
from olympus.sim.paint import FACES, FLOOR_TEXEL_M, WALL_TEXEL_M, paint
from olympus.sim.rays import FLOOR_ID, Floats, Scene

_FAR_FLOOR_M = 5.5
"""From here on the floor's pattern is finer than the pixels and is blurred."""


class Painter:
    """Turns what rays met into light."""

    def __init__(self, building: Building) -> None:
        self._building = building
        self._textures = paint(building.plan, building.palette)
        palette = building.palette
        warm = np.array([1 + 0.04 * palette.warmth, 1.0, 1 - 0.06 * palette.warmth])
        self._gain = (255 * palette.brightness * warm).astype(np.float32)
        self._haze = np.array([0.80, 0.82, 0.84], np.float32)

    def shade(self, scene: Scene, feet: NDArray[np.float64]) -> Floats:
        """Return (n, 3) colours, 0..255 and a little beyond."""
        colour = np.empty((len(scene.ids), 3), np.float32)
        solid = np.flatnonzero(scene.ids >= 0)
        is_wall = self._building.surfaces[scene.ids[solid]] == Surface.WALL
        self._shade_plain(colour, scene, solid[~is_wall])
        self._shade_walls(colour, scene, solid[is_wall])
        self._shade_grounds(colour, scene, np.flatnonzero(scene.ids < 0), feet)
        fog = 1 - np.exp(scene.depth * np.float32(-0.018))[:, None]
        colour += (self._haze - colour) * fog
        return colour * self._gain

    def _shade_plain(self, colour: Floats, scene: Scene, at: NDArray[np.intp]) -> None:
        """Lambert with a lamp above, light from the side, and some from the camera."""
        normal = scene.normals[at]
        facing = -(normal * scene.directions[at]).sum(1)
        normal = normal * np.sign(facing)[:, None]
        side = normal @ np.array([-0.35, 0.45, 0.30], np.float32)
        light = 0.42 + 0.22 * normal[:, 2] + 0.34 * np.maximum(side, 0) + 0.26 * np.abs(facing)
        light *= 0.86 + 0.14 * np.minimum(scene.points[at, 2] / 0.5, 1.0)
        base = self._building.colours[scene.ids[at]]
        gloss = 0.10 * np.abs(facing) ** 12 * (normal[:, 2] > -0.2)
        colour[at] = base * light[:, None] + gloss[:, None] * base

    def _shade_walls(self, colour: Floats, scene: Scene, at: NDArray[np.intp]) -> None:
        x, y, z = scene.points[at].T
        normal = np.abs(scene.normals[at])
        across = normal[:, 0] > 0.5
        is_south = (y < 0).astype(np.intp)
        away = np.abs(y)
        face = np.where(away < floorplan.HALF_WIDTH_M, 0, 2) + is_south
        face = np.where(away > floorplan.OUTER_Y_M - 0.2, 4 + is_south, face)
        end = np.where(x < floorplan.CORRIDOR_LENGTH_M / 2, 6, 7)
        is_end = (np.abs(x - 9.0) > 8.9) & (away < floorplan.HALF_WIDTH_M)
        face = np.where(across, np.where(is_end, end, len(FACES) - 1), face)
        along = np.where(across, y + floorplan.OUTER_Y_M, x)
        walls = self._textures.walls
        u = np.clip((along / WALL_TEXEL_M).astype(np.intp), 0, walls.shape[2] - 1)
        v = np.clip((z / WALL_TEXEL_M).astype(np.intp), 0, walls.shape[1] - 1)
        light = np.where(across, 0.86, np.where(is_south == 1, 0.97, 0.91))
        # The underside of a lintel gets no light from the lamps.
        light = np.where(normal[:, 2] > 0.5, 0.55, light).astype(np.float32)
        colour[at] = walls[face, v, u] * light[:, None]

    def _shade_grounds(
        self, colour: Floats, scene: Scene, at: NDArray[np.intp], feet: NDArray[np.float64]
    ) -> None:
        x, y, _ = scene.points[at].T
        maps = self._textures.grounds
        u = np.clip((x / FLOOR_TEXEL_M).astype(np.intp), 0, maps.shape[2] - 1)
        row = ((y + floorplan.OUTER_Y_M) / FLOOR_TEXEL_M).astype(np.intp)
        v = np.clip(row, 0, maps.shape[1] - 1)
        is_floor = scene.ids[at] == FLOOR_ID
        layer = np.where(is_floor, np.where(scene.depth[at] > _FAR_FLOOR_M, 1, 0), 2)
        light = np.ones(len(at), np.float32)
        for foot_x, foot_y in feet.astype(np.float32):
            reach = ((x - foot_x) ** 2 + (y - foot_y) ** 2) / np.float32(0.09)
            light -= np.float32(0.42) * np.exp(-reach)
        light = np.where(is_floor, np.maximum(light, 0.3), 0.93)
        colour[at] = maps[layer, v, u] * light[:, None]


def soften_edges(picture: Floats, ids: NDArray[np.int32]) -> Floats:
    """Blend neighbours where one thing ends and another begins, as a lens does.

    Args:
        picture: (H, W, 3).
        ids: (H, W) geom of each pixel.
    """
    edge = np.zeros(ids.shape, np.bool_)
    sideways, downwards = ids[:, 1:] != ids[:, :-1], ids[1:] != ids[:-1]
    edge[:, 1:] |= sideways
    edge[:, :-1] |= sideways
    edge[1:] |= downwards
    edge[:-1] |= downwards
    edge[0] = edge[-1] = edge[:, 0] = edge[:, -1] = False
    row, column = np.nonzero(edge)
    ring = (
        picture[row - 1, column]
        + picture[row + 1, column]
        + picture[row, column - 1]
        + picture[row, column + 1]
    )
    soft = picture.copy()
    soft[row, column] = 0.5 * picture[row, column] + 0.125 * ring
    return soft
