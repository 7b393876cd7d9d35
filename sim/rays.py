"""What each pixel of a picture meets: few rays where little changes, all of them at edges.

Every second pixel in both directions is cast first. Between four that meet the same flat part of
one geom the rest follows by interpolation (1/z is linear in the picture on a plane); elsewhere
each pixel gets its own ray. Things thinner than two pixels may be missed. Floor and ceiling are
planes and need no ray.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from olympus.sim import floorplan

FAR_M = 25.0
FLOOR_ID = -1
CEILING_ID = -2
_FLAT = 0.97
"""Least cosine between the normals of neighbours that count as one flat part."""

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Eye:
    """Where to look from, and at which groups of geoms."""

    model: mujoco.MjModel
    data: mujoco.MjData
    position: Doubles
    """(3,), world frame, metres."""
    groups: NDArray[np.uint8]
    """(6, 1), 1 for each geom group that is seen."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Flat arrays, one entry for each pixel, row by row."""

    ids: NDArray[np.int32]
    """Index of the geom, `FLOOR_ID` or `CEILING_ID`."""
    depth: Floats
    """Metres along the ray."""
    directions: Floats
    """(n, 3) unit vectors, world frame."""
    points: Floats
    """(n, 3) what was met, world frame, metres."""
    normals: Floats
    """(n, 3); zero for floor and ceiling."""


@dataclass(frozen=True, slots=True, eq=False)
class _Hits:
    ids: NDArray[np.int32]
    depth: Doubles
    normals: Floats


def sample(eye: Eye, directions: Doubles, ahead: Doubles, shape: tuple[int, int]) -> Scene:
    """Find what a picture shows.

    Args:
        eye: The camera.
        directions: (H*W, 3) unit vectors of the pixels, world frame.
        ahead: (H*W,) share of each direction that points along the optical axis.
        shape: H and W, both even.
    """
    rays, axial = directions.reshape(*shape, 3), ahead.reshape(shape)
    coarse = _cast(eye, rays[::2, ::2].reshape(-1, 3))
    rows, columns = shape[0] // 2, shape[1] // 2
    ids, normals = coarse.ids.reshape(rows, columns), coarse.normals.reshape(rows, columns, 3)
    nearness = 1.0 / (coarse.depth.reshape(rows, columns) * axial[::2, ::2])
    full_ids, full_normals = ids.repeat(2, 0).repeat(2, 1), normals.repeat(2, 0).repeat(2, 1)
    depth = 1.0 / (_spread(nearness, shape) * axial)
    busy = _busy(ids, normals, shape)
    fine = _cast(eye, rays[busy])
    full_ids[busy], depth[busy], full_normals[busy] = fine.ids, fine.depth, fine.normals
    flat, near = directions.astype(np.float32), depth.ravel().astype(np.float32)
    points = eye.position.astype(np.float32) + flat * near[:, None]
    return Scene(full_ids.ravel(), near, flat, points, full_normals.reshape(-1, 3))


def _cast(eye: Eye, rays: Doubles) -> _Hits:
    """Send (n, 3) rays; where one meets nothing there is floor or ceiling."""
    count = len(rays)
    rays = np.ascontiguousarray(rays)
    ids, depth = np.empty((count, 1), np.int32), np.empty((count, 1), np.float64)
    normals = np.empty((3 * count, 1), np.float64)
    mujoco.mj_multiRay(
        eye.model,
        eye.data,
        eye.position.reshape(3, 1),
        rays.reshape(-1, 1),
        eye.groups,
        True,
        -1,
        ids,
        depth,
        normals,
        count,
        FAR_M,
    )
    hits = _Hits(ids[:, 0], depth[:, 0], normals.reshape(-1, 3).astype(np.float32))
    _meet_planes(hits, rays[:, 2], float(eye.position[2]))
    return hits


def _meet_planes(hits: _Hits, falling: Doubles, eye_z: float) -> None:
    """Put floor and ceiling where a ray meets them first."""
    below = falling < 0
    reach = np.where(below, eye_z, floorplan.WALL_HEIGHT_M - eye_z)
    plane = np.minimum(reach / np.maximum(np.abs(falling), 1e-6), FAR_M)
    nearer = (hits.ids < 0) | (plane < hits.depth)
    hits.ids[nearer] = np.where(below[nearer], FLOOR_ID, CEILING_ID)
    hits.depth[nearer] = plane[nearer]
    hits.normals[nearer] = 0.0


def _spread(coarse: Doubles, shape: tuple[int, int]) -> Doubles:
    """Interpolate (H/2, W/2) to (H, W); the last row and column repeat their neighbours."""
    full = np.empty(shape, np.float64)
    full[::2, ::2] = coarse
    full[::2, 1:-1:2] = 0.5 * (coarse[:, :-1] + coarse[:, 1:])
    full[::2, -1] = coarse[:, -1]
    full[1:-1:2] = 0.5 * (full[:-2:2] + full[2::2])
    full[-1] = full[-2]
    return full


def _busy(ids: NDArray[np.int32], normals: Floats, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Mark the pixels that need a ray of their own: (H, W)."""
    is_flat_row = _same(ids[:, :-1], ids[:, 1:], normals[:, :-1], normals[:, 1:])
    is_flat_column = _same(ids[:-1], ids[1:], normals[:-1], normals[1:])
    calm = np.zeros(ids.shape, np.bool_)
    calm[:-1, :-1] = (
        is_flat_row[:-1] & is_flat_row[1:] & is_flat_column[:, :-1] & is_flat_column[:, 1:]
    )
    busy = np.zeros(shape, np.bool_)
    busy[1::2, 1::2] = ~calm
    busy[::2, 1::2] = ~calm
    busy[2::2, 1::2] |= ~calm[:-1]
    busy[1::2, ::2] = ~calm
    busy[1::2, 2::2] |= ~calm[:, :-1]
    return busy


def _same(
    one: NDArray[np.int32], other: NDArray[np.int32], normal: Floats, other_normal: Floats
) -> NDArray[np.bool_]:
    cosine = (normal * other_normal).sum(2)
    return np.asarray((one == other) & ((cosine > _FLAT) | (one < 0)))
