"""Distances: our bearings and distances as a laser scan, as single ranges, as point clouds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.bus.ros2.mapping.context import Context
from olympus.runtime.bus.ros2.mapping.pairs import pair
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import PointCloud, Ranges

_MOST_CELLS = 7200
_FIELDS = {"x": 0, "y": 4, "z": 8, "intensity": 12}
_FLOAT32 = 7
_KINDS = {1: "i1", 2: "u1", 3: "<i2", 4: "<u2", 5: "<i4", 6: "<u4", 7: "<f4", 8: "<f8"}
"""Numbers of sensor_msgs/PointField and the numpy types they mean."""


def _scan(m: Ranges, ctx: Context) -> Any:
    """Return distances as a scan, whose bearings stand at equal steps.

    REP-117: nothing hit is +inf, a failed measurement NaN; so is a bearing nobody measured.

    Raises:
        MessageError: So close together that the scan would be huge.
    """
    order = np.argsort(m.bearings_rad, kind="stable")
    bearings = m.bearings_rad[order].astype(np.float64)
    distances = m.distances_m[order].astype(np.float32)
    distances = np.where(distances >= m.max_m, np.float32(np.inf), distances)
    steps = np.diff(bearings)
    step = float(steps[steps > 1e-4].min()) if (steps > 1e-4).any() else 0.0
    span = float(bearings[-1] - bearings[0]) if bearings.size else 0.0
    count = round(span / step) + 1 if step else min(1, bearings.size)
    if count > _MOST_CELLS:
        raise MessageError(f"bearings {step:.2g} rad apart would make a scan of {count} cells")
    cells = np.full(count, np.nan, np.float32)
    if count:
        cells[np.rint((bearings - bearings[0]) / (step or 1.0)).astype(int)] = distances
    first = float(bearings[0]) if bearings.size else 0.0
    return ctx.new(
        "sensor_msgs/msg/LaserScan",
        header=ctx.header(m, "base_link"),
        angle_min=first,
        angle_max=first + step * max(0, count - 1),
        angle_increment=step,
        range_min=0.0,
        range_max=m.max_m,
        ranges=cells,
    )


def _scan_of(value: Any, ctx: Context) -> Ranges:
    count = value.ranges.size
    bearings = value.angle_min + value.angle_increment * np.arange(count)
    distances = value.ranges.astype(np.float32)
    distances = np.where(distances > value.range_max, np.float32(value.range_max), distances)
    distances = np.where(distances < value.range_min, np.float32(np.nan), distances)
    return Ranges(
        header=ctx.given(value.header),
        bearings_rad=np.remainder(bearings + np.pi, 2 * np.pi).astype(np.float32)
        - np.float32(np.pi),
        distances_m=distances,
        max_m=float(value.range_max),
    )


def _range(m: Ranges, ctx: Context) -> Any:
    """Return the distance that is nearest to straight ahead.

    Raises:
        MessageError: There is none.
    """
    if not m.bearings_rad.size:
        raise MessageError("no distance in any direction")
    ahead = int(np.argmin(np.abs(m.bearings_rad)))
    distance = float(m.distances_m[ahead])
    return ctx.new(
        "sensor_msgs/msg/Range",
        header=ctx.header(m, "base_link"),
        radiation_type=1,
        max_range=m.max_m,
        range=float("inf") if distance >= m.max_m else distance,
    )


def _range_of(value: Any, ctx: Context) -> Ranges:
    far = np.float32(value.max_range)
    distance = np.float32(value.range)
    if not distance <= far:  # beyond it, or NaN, which stays
        distance = far if distance > far else distance
    return Ranges(
        header=ctx.given(value.header),
        bearings_rad=np.zeros(1, np.float32),
        distances_m=np.array([distance if distance >= value.min_range else np.nan], np.float32),
        max_m=float(far),
    )


def _cloud(m: PointCloud, ctx: Context) -> Any:
    has_intensity = m.intensity.size > 0
    if has_intensity and m.intensity.size != len(m.points_m):
        raise MessageError(f"{m.intensity.size} intensities for {len(m.points_m)} points")
    columns = [m.points_m] + ([m.intensity[:, None]] if has_intensity else [])
    data = np.ascontiguousarray(np.concatenate(columns, axis=1), "<f4")
    step = 4 * data.shape[1]
    fields = [
        ctx.new("sensor_msgs/msg/PointField", name=name, offset=offset, datatype=_FLOAT32, count=1)
        for name, offset in _FIELDS.items()
        if offset < step
    ]
    return ctx.new(
        "sensor_msgs/msg/PointCloud2",
        header=ctx.header(m, m.frame_id),
        height=1,
        width=len(data),
        fields=fields,
        point_step=step,
        row_step=step * len(data),
        data=data.view("u1").reshape(-1),
        is_dense=bool(np.isfinite(m.points_m).all()),
    )


def _cloud_of(value: Any, ctx: Context) -> PointCloud:
    if value.is_bigendian:
        raise MessageError("a big-endian point cloud is not read here")
    rows = _rows(value)
    by_name = {field.name: field for field in value.fields}
    missing = [name for name in "xyz" if name not in by_name]
    if missing:
        raise MessageError(f"a point cloud without {', '.join(missing)}; it has {list(by_name)}")
    points = np.stack([_column(rows, by_name[name]) for name in "xyz"], axis=1)
    light = by_name.get("intensity")
    return PointCloud(
        header=ctx.given(value.header),
        points_m=points,
        intensity=np.zeros(0, np.float32) if light is None else _column(rows, light),
        frame_id=value.header.frame_id,
    )


def _rows(value: Any) -> NDArray[np.uint8]:
    """Return the bytes of each point.

    Raises:
        MessageError: The sizes don't fit together.
    """
    step, width, height = value.point_step, value.width, value.height
    if step < 1 or value.row_step < step * width or value.data.size < value.row_step * height:
        raise MessageError(
            f"{value.data.size} bytes, {value.row_step} in a row, are no {width} x {height} points "
            f"of {step} bytes"
        )
    lines = value.data[: value.row_step * height].reshape(height, value.row_step)
    return np.ascontiguousarray(lines[:, : step * width]).reshape(width * height, step)


def _column(rows: NDArray[np.uint8], field: Any) -> NDArray[np.float32]:
    code = _KINDS.get(field.datatype)
    if code is None:
        raise MessageError(f"field {field.name}: datatype {field.datatype} is unknown")
    end = field.offset + np.dtype(code).itemsize
    if end > rows.shape[1]:
        raise MessageError(f"field {field.name} ends at byte {end} of {rows.shape[1]}")
    column = np.ascontiguousarray(rows[:, field.offset : end])
    return column.view(code).reshape(-1).astype(np.float32)


pair(Ranges, "sensor_msgs/msg/LaserScan", _scan, _scan_of)
pair(Ranges, "sensor_msgs/msg/Range", _range, _range_of)
pair(PointCloud, "sensor_msgs/msg/PointCloud2", _cloud, _cloud_of)
