"""What motion depends on besides commands: that the rover is level, cool, and where it may be.

The battery is the drive's to watch. Whatever turns bad here trips the guardian, and stands against
a reset until it is good again, with a margin.
"""

from __future__ import annotations

import math
from pathlib import Path

from olympus.nodes.vouching import Voucher
from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import Imu, Odometry, Pose
from olympus.runtime.node import Field, Node, NodeParams, subscribe, timer

TILT_SHARE = 0.1
"""How much of a new measurement of tilt counts: bumps are shorter than falls."""
POSE_NS = 1_000_000_000
"""A pose on the map that is older than this no longer tells the place."""

_LEAST_MPS2 = 3.0
_THERMAL = Path("/sys/class/thermal")


def tilt_deg(accel_mps2: tuple[float, float, float]) -> float:
    """Return the angle between the body's z axis and up, in degrees; NaN when it can't be told.

    Args:
        accel_mps2: What an accelerometer at rest measures: gravity upwards.
    """
    x, y, z = accel_mps2
    length = math.sqrt(x * x + y * y + z * z)
    if not length > _LEAST_MPS2:  # NaN, or falling
        return math.nan
    return math.degrees(math.acos(max(-1.0, min(1.0, z / length))))


def is_within(fence: tuple[float, float, float, float], x_m: float, y_m: float) -> bool:
    """Tell whether a place is inside a fence: x and y of one corner, then of the opposite one."""
    left, low, right, high = fence
    return left <= x_m <= right and low <= y_m <= high


def hottest_c(folder: Path = _THERMAL) -> float:
    """Return the temperature of the hottest zone that the kernel knows, °C; NaN for none."""
    found = [_zone_c(zone) for zone in sorted(folder.glob("thermal_zone*/temp"))]
    known = [one for one in found if not math.isnan(one)]
    return max(known, default=math.nan)


def _zone_c(zone: Path) -> float:
    try:
        return int(zone.read_text()) / 1000
    except (OSError, ValueError):
        return math.nan


class Limit:
    """A limit with a margin: bad above it, good again only some way below."""

    def __init__(self, limit: float, margin: float) -> None:
        self._limit, self._margin = limit, margin
        self.is_ok = True

    def take(self, value: float) -> bool:
        """Take a value in; what is not known changes nothing."""
        if value > self._limit:
            self.is_ok = False
        elif value < self._limit - self._margin:
            self.is_ok = True
        return self.is_ok


class Conditions(Node):
    """Tells the guardian about tilt, temperature and place."""

    class Params(NodeParams):
        """What is allowed."""

        max_tilt_deg: float = Field(25.0, gt=0, le=90, description="Steeper than this stops.")
        max_temperature_c: float = Field(
            85.0, gt=0, le=120, description="A hotter board than this stops."
        )
        fence: tuple[float, float, float, float] | None = Field(
            None, description="Where it may be: x, y of a corner, x, y of the opposite one, m."
        )

    params: Params

    async def on_configure(self) -> None:
        """Find the guardian.

        Raises:
            ConfigError: There is no session.
        """
        if self.session is None:
            raise ConfigError(f"{self.name}: runs only within a session, with a guardian")
        self._voucher = Voucher(self, self.session.safety_dir)
        self._tilt = Limit(self.params.max_tilt_deg, 5.0)
        self._heat = Limit(self.params.max_temperature_c, 5.0)
        self._gravity: tuple[float, float, float] | None = None
        self._posed_ns: int | None = None

    @subscribe("imu")
    async def on_imu(self, imu: Imu) -> None:
        """Watch the tilt."""
        new = tuple(float(one) for one in imu.accel_mps2)
        if not all(map(math.isfinite, new)):
            return
        old = self._gravity or new
        mixed = [a + TILT_SHARE * (b - a) for a, b in zip(old, new, strict=True)]
        self._gravity = (mixed[0], mixed[1], mixed[2])
        angle = tilt_deg(self._gravity)
        is_ok = self._tilt.take(angle)
        limit = self.params.max_tilt_deg
        await self._voucher.tell("tilt", is_ok=is_ok, text=f"{angle:.0f}° of {limit:.0f}°")

    @subscribe("pose", is_optional=True)
    async def on_pose(self, pose: Pose) -> None:
        """Watch the fence by a pose on the map."""
        self._posed_ns = pose.header.stamp
        await self._look_at_fence(pose.x_m, pose.y_m)

    @subscribe("odometry")
    async def on_odometry(self, odometry: Odometry) -> None:
        """Watch the fence by the wheels, which drift, where nobody knows the place on the map."""
        # Neither does a pose from the future count: it would never grow old.
        if self._posed_ns is None or abs(odometry.header.stamp - self._posed_ns) > POSE_NS:
            await self._look_at_fence(odometry.x_m, odometry.y_m)

    async def _look_at_fence(self, x_m: float, y_m: float) -> None:
        if self.params.fence is None:
            return
        place = (x_m, y_m)
        is_ok = is_within(self.params.fence, *place)
        text = f"at {place[0]:.1f}, {place[1]:.1f} m, {'inside' if is_ok else 'OUTSIDE'}"
        await self._voucher.tell("geofence", is_ok=is_ok, text=text)

    @timer(1.0)
    async def on_second(self) -> None:
        """Watch the temperature of the board, where it has a sensor."""
        hot_c = self.observe("temperature", hottest_c)
        if not math.isnan(hot_c):
            is_ok = self._heat.take(hot_c)
            text = f"{hot_c:.0f} °C of {self.params.max_temperature_c:.0f}"
            await self._voucher.tell("temperature", is_ok=is_ok, text=text)
