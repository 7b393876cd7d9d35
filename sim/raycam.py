"""A camera without a GPU: `mj_multiRay` finds what each pixel sees, numpy paints it.

One pass gives colour, depth and the geom of every pixel. Frames: the camera looks along the x axis
of its pose, y to the left, z up, as the rover does; image rows go down, columns to the right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from olympus.sim import figures
from olympus.sim.building import Building, Kind
from olympus.sim.rays import CEILING_ID, FAR_M, FLOOR_ID, Eye, Floats, sample
from olympus.sim.shading import Painter, soften_edges

NOISE_LEVELS = 2.2
"""Standard deviation of the sensor noise, in grey levels of 255."""

__all__ = ["CEILING_ID", "FAR_M", "FLOOR_ID", "Box", "RayCamera", "View", "boxes"]


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What the camera saw at one instant."""

    rgb: NDArray[np.uint8]
    """(H, W, 3)."""
    depth_m: Floats
    """(H, W), distance along the ray, at most `FAR_M`."""
    geom_ids: NDArray[np.int32]
    """(H, W), index of the geom in the model; `FLOOR_ID` or `CEILING_ID` for those."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle around an individual in a picture, normalised to 0..1, origin top left."""

    kind: Kind
    thing: int
    """Person i is i, furniture i is 1000 + i."""
    x: float
    y: float
    w: float
    h: float
    pixels: int
    """How many pixels of it are visible."""
    distance_m: float
    """Median distance of its visible pixels."""


class RayCamera:
    """A camera anywhere in a building; the rover's or one on a wall."""

    def __init__(
        self,
        building: Building,
        *,
        width: int = 160,
        height: int = 120,
        fov_deg: float = figures.CAMERA_FOV_DEG,
        sees_rover: bool = False,
    ) -> None:
        self.width, self.height = width, height
        self._building = building
        self._rays = _ray_directions(width, height, math.radians(fov_deg))
        groups = [figures.GROUP_STATIC, figures.GROUP_PEOPLE]
        groups += [figures.GROUP_ROVER] if sees_rover else []
        self._groups = np.array([[int(g in groups)] for g in range(6)], np.uint8)
        self._painter = Painter(building)
        self._noise = _noise_bank(building.plan.seed, width * height)

    def look(
        self,
        data: mujoco.MjData,
        position: NDArray[np.float64],
        rotation: NDArray[np.float64],
        *,
        tick: int = 0,
    ) -> View:
        """Take a picture.

        Args:
            data: State of the building's model, kinematics computed.
            position: (3,) of the lens, world frame, metres.
            rotation: (3, 3), columns are the camera's forward, left and up axes.
            tick: Chooses the sensor noise; the same tick gives the same noise.
        """
        eye = Eye(self._building.model, data, position, self._groups)
        directions = self._rays @ rotation.T
        scene = sample(eye, directions, self._rays[:, 0], (self.height, self.width))
        rgb = self._painter.shade(scene, _feet(data, self._building))
        shape = (self.height, self.width)
        picture = soften_edges(rgb.reshape(*shape, 3), scene.ids.reshape(shape))
        picture += self._noise_of(tick).reshape(*shape, 3)
        return View(
            np.clip(picture, 0, 255).astype(np.uint8),
            scene.depth.reshape(shape),
            scene.ids.reshape(shape),
        )

    def _noise_of(self, tick: int) -> Floats:
        start = (tick * 7919) % (len(self._noise) - 3 * self.width * self.height)
        return self._noise[start : start + 3 * self.width * self.height]


def boxes(view: View, building: Building, *, least_pixels: int = 12) -> list[Box]:
    """Find the visible people and furniture of a picture, nearest first.

    Args:
        view: A picture of this building.
        building: Tells what the geoms are.
        least_pixels: Things with fewer visible pixels are left out.
    """
    things = np.where(view.geom_ids >= 0, building.things[view.geom_ids], -1)
    found = [_box(view, things == thing, int(thing)) for thing in np.unique(things[things >= 0])]
    return sorted((b for b in found if b.pixels >= least_pixels), key=lambda b: b.distance_m)


def _box(view: View, mask: NDArray[np.bool_], thing: int) -> Box:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    height, width = mask.shape
    return Box(
        kind=Kind.PERSON if thing < 1000 else Kind.OBSTACLE,
        thing=thing,
        x=float(columns[0] / width),
        y=float(rows[0] / height),
        w=float((columns[-1] + 1 - columns[0]) / width),
        h=float((rows[-1] + 1 - rows[0]) / height),
        pixels=int(mask.sum()),
        distance_m=float(np.median(view.depth_m[mask])),
    )


def _ray_directions(width: int, height: int, fov_rad: float) -> NDArray[np.float64]:
    """(H*W, 3) unit vectors in the camera's forward, left, up axes; row by row from top left."""
    focal_px = width / 2 / math.tan(fov_rad / 2)
    left = (width / 2 - 0.5 - np.arange(width)) / focal_px
    up = (height / 2 - 0.5 - np.arange(height)) / focal_px
    rays = np.ones((height, width, 3))
    rays[..., 1] = left[None, :]
    rays[..., 2] = up[:, None]
    rays /= np.linalg.norm(rays, axis=2, keepdims=True)
    return rays.reshape(-1, 3)


def _noise_bank(seed: int, count: int) -> Floats:
    rng = np.random.default_rng([seed, 13])
    return rng.normal(0.0, NOISE_LEVELS, 3 * count + 65_536).astype(np.float32)


def _feet(data: mujoco.MjData, building: Building) -> NDArray[np.float64]:
    """(people, 2) where people stand, for their shadows on the floor."""
    bodies = [building.model.body(f"person.{i}").id for i in range(building.people)]
    return np.asarray(data.xpos[bodies, :2]).reshape(-1, 2)
