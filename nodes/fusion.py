"""Where a thing in the picture stands: geometry of the camera, distances, and who is who."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.messages import Detection, Ranges

Floats = NDArray[np.float64]

SPREAD_RAD = math.radians(6)
"""Range rays this close to a thing's edges may have hit it."""
OUTSIDE_RAD = math.radians(15)
"""A thing that the picture's side cuts off may reach so far beyond it."""
PERSON_DEPTH_M = 0.2
"""A ray meets a person so far before the middle."""
AGREEMENT = (0.6, 1.15)
"""A ray whose distance is this share of what the picture says has hit the same thing."""
EDGE = 0.02
"""A box that comes so near to the picture's edge, as a share of it, may be cut off."""
HIDDEN = 1.15
"""Who seems so much farther by size than by the height of the head has hidden legs."""
SAME_BEARING_RAD = 0.35
"""A thing may move so far, seen from the robot, between two pictures."""
FORGET_S = 1.0
"""A track that was not seen for so long is over."""


@dataclass(frozen=True, slots=True)
class CameraGeometry:
    """A pinhole camera on a robot, over a flat floor."""

    hfov_deg: float
    """Horizontal field of view."""
    aspect: float
    """Width by height of the picture."""
    person_height_m: float
    tilt_rad: float = 0.0
    """How far it looks up."""
    height_m: float = 0.5
    """Of the lens over the floor."""
    forward_m: float = 0.0
    """How far the lens stands before the robot's middle."""

    def bearing(self, x: float, y: float = 0.5) -> float:
        """Return the direction of a point of the picture, seen from the lens.

        Args:
            x: 0..1 from the left.
            y: 0..1 from the top.

        Returns:
            Radians in the plane of the floor, left positive.
        """
        left = (1 - 2 * x) * self._half_width
        ahead = math.cos(self.tilt_rad) - self._up(y) * math.sin(self.tilt_rad)
        return math.atan2(left, ahead)

    def distance_by_height(self, height: float) -> float:
        """Return how far ahead a whole person stands who fills a share of the picture's height.

        Head and feet are points above and below the axis; the tilt moves both, so that the share
        S of a person H tall, whose head is A above and whose feet are C below the lens, obeys
        S (d² + k d (A - C) - k² A C) = H (1 + k²) d, with k the tangent of the tilt.

        Args:
            height: Of the person's box, 0..1.

        Returns:
            Metres from the lens, along the floor.
        """
        share = max(height, 1e-6) * 2 * self._half_height
        k = math.tan(self.tilt_rad)
        above, below = self.person_height_m - self.height_m, self.height_m
        b = share * k * (above - below) - self.person_height_m * (1 + k * k)
        c = -share * k * k * above * below
        return (-b + math.sqrt(max(b * b - 4 * share * c, 0.0))) / (2 * share)

    def distance_on_floor(self, y: float) -> float:
        """Return how far ahead the floor is that is seen in a row of the picture.

        Args:
            y: 0..1 from the top.

        Returns:
            Metres from the lens, along the floor; infinity at and above the horizon.
        """
        return self._reach(-self.height_m, y)

    def distance_by_head(self, y: float) -> float:
        """Return how far ahead a person stands whose head is in a row; infinity if it is low."""
        return self._reach(self.person_height_m - self.height_m, y)

    def from_middle(self, bearing_rad: float, distance_m: float) -> tuple[float, float]:
        """Return bearing and distance, seen from the robot's middle, of what the lens sees."""
        ahead = self.forward_m + distance_m * math.cos(bearing_rad)
        left = distance_m * math.sin(bearing_rad)
        return math.atan2(left, ahead), math.hypot(ahead, left)

    def _reach(self, above_m: float, y: float) -> float:
        """Return how far ahead something so far above the lens is that is seen in a row."""
        tangent = math.tan(math.atan(self._up(y)) + self.tilt_rad)
        return above_m / tangent if above_m * tangent > 1e-4 else math.inf

    @property
    def _half_width(self) -> float:
        return math.tan(math.radians(self.hfov_deg) / 2)

    @property
    def _half_height(self) -> float:
        return self._half_width / max(self.aspect, 1e-6)

    def _up(self, y: float) -> float:
        """Tangent of the angle between the camera's axis and a row."""
        return (1 - 2 * y) * self._half_height


@dataclass(frozen=True, slots=True)
class Sight:
    """A thing with its place relative to the robot's middle."""

    label: str
    confidence: float
    bearing_rad: float
    distance_m: float
    """To the middle of a person, to the near side of anything else; NaN when nothing tells."""
    how: str
    """What the distance rests on: `range`, `size`, `floor` or `none`."""


def locate(item: Detection, camera: CameraGeometry, ranges: Ranges | None) -> Sight:
    """Place one detection.

    The picture gives a first distance: by the height of a person whose head is seen, else by where
    the thing stands on the floor, unless the picture cuts that off. The nearest range ray towards
    the thing makes it exact where the two agree. What the picture's side cuts off seems smaller
    than it is: there any nearer ray counts.

    Args:
        item: The detection.
        camera: What took the picture.
        ranges: Distances of about the same time, or None.

    Returns:
        The thing and its place.
    """
    bearing = camera.bearing(item.x + item.w / 2, item.y + item.h / 2)
    seen_m, how = _seen_distance(item, camera)
    bearings, hits = _towards(item, camera, ranges)
    if math.isnan(seen_m):
        bearing, _ = camera.from_middle(bearing, 3.0)  # about; all that can be said
        near, far = 0.0, math.inf
    else:
        bearing, seen_m = camera.from_middle(bearing, seen_m / math.cos(bearing))
        near, far = (0.0 if _is_cut(item) else AGREEMENT[0]) * seen_m, AGREEMENT[1] * seen_m
    agree = (hits > near) & (hits < far)
    if not agree.any():
        return Sight(item.label, item.confidence, bearing, seen_m, how)
    first = int(np.where(agree, hits, np.inf).argmin())
    if _is_cut(item):
        bearing = float(bearings[first])
    depth_m = PERSON_DEPTH_M if item.label == "person" else 0.0
    return Sight(item.label, item.confidence, bearing, float(hits[first]) + depth_m, "range")


def _is_cut(item: Detection) -> bool:
    return item.x < EDGE or item.x + item.w > 1 - EDGE


def _seen_distance(item: Detection, camera: CameraGeometry) -> tuple[float, str]:
    """Tell from the picture alone how far ahead a thing stands, in metres, and how one knows."""
    is_standing_seen = item.y + item.h < 1 - EDGE
    if item.label == "person" and item.y > EDGE:
        by_head = camera.distance_by_head(item.y)  # right even if something hides the legs
        by_size = camera.distance_by_height(item.h) if is_standing_seen else math.inf
        distance = by_size if by_size < HIDDEN * by_head else by_head
        return (distance, "size") if math.isfinite(distance) else (math.nan, "none")
    distance = camera.distance_on_floor(item.y + item.h) if is_standing_seen else math.inf
    return (distance, "floor") if math.isfinite(distance) else (math.nan, "none")


def _towards(
    item: Detection, camera: CameraGeometry, ranges: Ranges | None
) -> tuple[Floats, Floats]:
    """Return bearings and distances of the rays that hit something, maybe this thing."""
    if ranges is None:
        return np.zeros(0), np.zeros(0)
    left, right = camera.bearing(item.x), camera.bearing(item.x + item.w)
    left += OUTSIDE_RAD if item.x < EDGE else SPREAD_RAD / 2
    right -= OUTSIDE_RAD if item.x + item.w > 1 - EDGE else SPREAD_RAD / 2
    rays, distances = ranges.bearings_rad, ranges.distances_m.astype(np.float64)
    is_hit = np.isfinite(distances) & (distances > 0) & (distances < ranges.max_m)
    chosen = (rays >= right) & (rays <= left) & is_hit
    return rays[chosen].astype(np.float64), distances[chosen]


@dataclass(slots=True)
class _Track:
    number: int
    sight: Sight
    seen_ns: int


class Tracks:
    """Gives a thing the same number from picture to picture: nearest bearing of the same label."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._count = 0

    def follow(self, sights: Iterable[Sight], stamp_ns: int) -> Iterator[tuple[Sight, int]]:
        """Yield each thing with its track number.

        Args:
            sights: What was seen in one picture.
            stamp_ns: Capture time of the picture, ns.
        """
        self._tracks = [t for t in self._tracks if stamp_ns - t.seen_ns <= FORGET_S * 1e9]
        free = list(self._tracks)
        for sight in sorted(sights, key=lambda s: -s.confidence):
            track = self._nearest(sight, free)
            if track is None:
                self._count += 1
                track = _Track(self._count, sight, stamp_ns)
                self._tracks.append(track)
            else:
                free.remove(track)
                track.sight, track.seen_ns = sight, stamp_ns
            yield sight, track.number

    def _nearest(self, sight: Sight, free: list[_Track]) -> _Track | None:
        candidates = [
            (abs(t.sight.bearing_rad - sight.bearing_rad), t.number, t)
            for t in free
            if t.sight.label == sight.label
        ]
        gap, _, track = min(candidates, default=(math.inf, 0, None), key=lambda c: c[:2])
        return track if gap <= SAME_BEARING_RAD else None
