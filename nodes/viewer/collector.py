"""Turns what comes over the bus into what the page shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np

from olympus.nodes.viewer.hosts import Hosts
from olympus.nodes.viewer.picture import CLOCK_SET_NS, Pairing, framed, picture_head
from olympus.nodes.viewer.streams import Board, Json, finite, ms
from olympus.runtime.bus.pictures import jpeg, load_opencv
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import (
    AudioChunk,
    Battery,
    Detections,
    Diagnostic,
    HostStats,
    Image,
    Log,
    MissionState,
    Odometry,
    Percept,
    Pose,
    Ranges,
    Reading,
    SoundEvent,
    Twist,
)

LONGEST_PX = 960
"""The longer side of what a panel of the page can show; more only costs time and line."""
FULL_SCALE = 32768.0
SILENCE_DBFS = -90.0
TRAIL_STEP_M = 0.04
POINT_SPACING_NS = 90_000_000
"""A plot gets at most eleven points a second of one series; more can't be seen."""
SERIES_MAX = 48
PERCEPT_TTL_NS = 2_000_000_000
PERCEPT_LONGEST_NS = 10_000_000_000
"""A claim says where something is as seen from the robot, which has moved on by then."""
PERCEPTS_MAX = 100
PARTS_MAX = 200
POSE_NS = 1_000_000_000
"""A pose on the map that is older than this is not shown."""
LOGS_KEPT, POINTS_KEPT, EVENTS_KEPT, TRAIL_KEPT = 2000, 12_000, 200, 3000
RATES_KEPT, LEVELS_KEPT = 120, 300


class Watchers(Protocol):
    """Whom pictures are shown to."""

    @property
    def wants_picture(self) -> bool:
        """Whether anybody watches the camera."""

    def offer_picture(self, encode: Callable[[], bytes]) -> None:
        """Have a picture sent; it is encoded only if somebody can take it."""


class Collector:
    """Holds the board; each `on_…` takes in one message, from the event loop's thread."""

    def __init__(
        self, board: Board, audience: Watchers, now_ns: Callable[[], int], *, quality: int = 80
    ) -> None:
        """Fill `board`, and show pictures to `audience`.

        Args:
            board: What the page shows.
            audience: Who watches.
            now_ns: Robot time.
            quality: Of the JPEG pictures, 1..100.

        Raises:
            BusError: OpenCV is not installed.
        """
        load_opencv()  # now, not at the first picture: it takes a while
        self.hosts = Hosts()
        self._board = board
        self._audience = audience
        self._now_ns = now_ns
        self._quality = quality
        self._pairing = Pairing(self._show)
        self._series: dict[str, Json] = {}
        self._last_point_ns: dict[str, int] = {}
        self._percepts: dict[tuple[str, str, int], tuple[int, Json]] = {}
        self._health: dict[tuple[str, str], Json] = {}
        self._last_place: tuple[float, float] | None = None
        self._pose: Pose | None = None

    def forget(self) -> None:
        """Show no picture that still waits."""
        self._pairing.forget()

    def on_image(self, image: Image) -> None:
        """Show a frame, if anybody watches.

        Raises:
            MessageError: There is nothing in it to show.
        """
        if not image.data.size:
            raise MessageError(f"a picture of shape {image.data.shape} has no pixels to show")
        if self._audience.wants_picture:
            self._pairing.on_image(image)

    def on_detections(self, detections: Detections) -> None:
        """Draw what was detected into its frame."""
        if self._audience.wants_picture:
            self._pairing.on_detections(detections)

    def _show(self, image: Image, found: Detections | None) -> None:
        head = picture_head(image, found, now_ns=self._now_ns())
        self._audience.offer_picture(
            lambda: framed(
                head,
                jpeg(image.data, image.encoding, quality=self._quality, longest_px=LONGEST_PX),
            )
        )

    def on_audio(self, chunk: AudioChunk) -> None:
        """Show how loud it is."""
        rms, peak = levels_dbfs(chunk)
        level: Json = [ms(chunk.header.stamp), finite(rms, 1), finite(peak, 1)]
        self._board.stream("levels", LEVELS_KEPT).append(level)

    def on_sound_event(self, event: SoundEvent) -> None:
        """Show what was heard."""
        self._board.stream("sounds", EVENTS_KEPT).append(
            {
                "t": ms(event.header.stamp),
                "label": event.label,
                "confidence": finite(event.confidence, 3),
                "level": finite(event.level_dbfs, 1),
            }
        )

    def on_reading(self, reading: Reading) -> None:
        """Plot a reading; one that is not valid is shown as a gap, with the reason."""
        state = {"unit": reading.unit, "device": reading.device, "text": reading.text}
        self.plot(
            reading.name,
            reading.header.stamp,
            reading.value if reading.valid else math.nan,
            state | {"valid": reading.valid},
        )

    def on_battery(self, battery: Battery) -> None:
        """Plot and show the battery."""
        stamp = battery.header.stamp
        self.plot("battery/voltage", stamp, battery.voltage_v, {"unit": "V", "valid": True})
        self.plot("battery/current", stamp, battery.current_a, {"unit": "A", "valid": True})
        self._board.value("battery").set(
            {"charge": finite(battery.charge, 3), "voltage": finite(battery.voltage_v, 2)}
        )

    def on_twist(self, twist: Twist) -> None:
        """Plot the commanded speed."""
        state: dict[str, Json] = {"unit": "m/s", "valid": True}
        self.plot("speed/commanded", twist.header.stamp, twist.linear_mps, state)

    def on_odometry(self, odometry: Odometry) -> None:
        """Move the rover on the map, by its wheels where nobody tells its place there."""
        state: dict[str, Json] = {"unit": "m/s", "valid": True}
        self.plot("speed/measured", odometry.header.stamp, odometry.linear_mps, state)
        place, yaw = self._place(odometry)
        self._board.value("pose").set(
            {
                "t": ms(odometry.header.stamp),
                "x": finite(place[0]),
                "y": finite(place[1]),
                "yaw": finite(yaw),
                "v": finite(odometry.linear_mps, 3),
                "w": finite(odometry.angular_radps, 3),
            }
        )
        if not all(map(math.isfinite, place)):
            return  # no place: the page says so, and the trail goes on from the next one
        if self._last_place is None or math.dist(place, self._last_place) >= TRAIL_STEP_M:
            self._last_place = place
            self._board.stream("trail", TRAIL_KEPT).append([finite(place[0]), finite(place[1])])

    def _place(self, odometry: Odometry) -> tuple[tuple[float, float], float]:
        """Return where the rover is and its heading: on the map, or else by its wheels."""
        pose = self._pose
        if pose is not None and abs(odometry.header.stamp - pose.header.stamp) <= POSE_NS:
            yaw = 2 * math.atan2(pose.qz, pose.qw)
            if all(map(math.isfinite, (pose.x_m, pose.y_m, yaw))):
                return (pose.x_m, pose.y_m), yaw
        return (odometry.x_m, odometry.y_m), odometry.yaw_rad

    def on_pose(self, pose: Pose) -> None:
        """Remember the place on the map for the next measurement of the wheels."""
        self._pose = pose

    def on_ranges(self, ranges: Ranges) -> None:
        """Show what the range sensors see."""
        self._board.value("ranges").set(
            {
                "t": ms(ranges.header.stamp),
                "bearings": [finite(float(b), 3) for b in ranges.bearings_rad],
                "distances": [finite(float(d), 2) for d in ranges.distances_m],
                "max": finite(ranges.max_m, 2),
            }
        )

    def on_percept(self, percept: Percept) -> None:
        """Show a claim about the world until it is worth nothing any more, but not for long."""
        now_ns = self._now_ns()
        until = percept.header.expires or now_ns + PERCEPT_TTL_NS
        until = min(until, now_ns + PERCEPT_LONGEST_NS)
        row: Json = {
            "kind": percept.kind,
            "label": percept.label,
            "confidence": finite(percept.confidence, 2),
            "bearing": finite(percept.bearing_rad, 3),
            "distance": finite(percept.distance_m, 2),
        }
        key = percept.kind, percept.label, percept.track
        self._percepts.pop(key, None)  # the newest stand last
        self._percepts[key] = until, row
        while len(self._percepts) > PERCEPTS_MAX:
            del self._percepts[next(iter(self._percepts))]

    def on_mission(self, mission: MissionState) -> None:
        """Show what the robot is about."""
        self._board.value("mission").set(
            {
                "mission": mission.mission,
                "state": mission.state,
                "reason": mission.reason,
                "goal": mission.goal,
                "goal_at": [finite(mission.goal_x_m, 2), finite(mission.goal_y_m, 2)],
                "laps": mission.laps,
            }
        )

    def on_log(self, log: Log) -> None:
        """Show a line of a log."""
        self._board.stream("logs", LOGS_KEPT).append(
            {
                "t": ms(log.header.stamp),
                "level": log.level,
                "logger": log.logger,
                "text": log.text,
                "fields": log.fields,
            }
        )

    def on_diagnostic(self, news: Diagnostic) -> None:
        """Show how a part of a node is; of too many parts those that were silent longest go."""
        key = news.header.source, news.name
        self._health.pop(key, None)
        self._health[key] = {
            "t": ms(news.header.stamp),
            "node": news.header.source,
            "part": news.name,
            "level": news.level,
            "text": news.text,
            "values": news.values,
        }
        if len(self._health) > PARTS_MAX:
            del self._health[next(iter(self._health))]

    def on_host_stats(self, stats: HostStats) -> None:
        """Take in what a host says of itself."""
        self.hosts.on_stats(stats, self._now_ns())

    def on_tick(self) -> None:
        """Bring up to date what changes with time alone."""
        now_ns = self._now_ns()
        self._percepts = {k: item for k, item in self._percepts.items() if item[0] > now_ns}
        self._board.value("percepts").set([row for _, row in self._percepts.values()])

    def on_rows(self, viewer: str) -> None:
        """Bring nodes, their health and topics up to date; `viewer` is our own node's name."""
        now_ns = self._now_ns()
        self._board.value("nodes").set(self.hosts.node_rows(now_ns))
        self._board.value("topics").set(self.hosts.topic_rows(now_ns, viewer))
        self._board.value("health").set([row for _, row in sorted(self._health.items())])

    def on_second(self) -> None:
        """Add a point to each topic's rate, as the rows say; None where its host is away."""
        rows = self._board.value("topics").state
        rates: dict[str, Json] = {}
        for row in rows if isinstance(rows, list) else []:
            rates[row["topic"]] = None if row["away"] else row["rate"]
        self._board.stream("rates", RATES_KEPT).append({"t": ms(self._now_ns()), "hz": rates})

    def plot(self, name: str, stamp_ns: int, value: float, state: dict[str, Json]) -> None:
        """Add a point to a series, unless it is too close to the one before.

        Args:
            name: Of the series.
            stamp_ns: When it was measured.
            value: What; NaN for a gap.
            state: What there is to say of it: unit, valid, device, text.
        """
        if name not in self._series and len(self._series) >= SERIES_MAX:
            return
        since_ns = stamp_ns - self._last_point_ns.get(name, 0)
        if -CLOCK_SET_NS < since_ns < POINT_SPACING_NS:
            return
        self._last_point_ns[name] = stamp_ns
        if self._series.get(name) != state:
            self._series = {**self._series, name: state}
            self._board.value("series").set(self._series)
        point: Json = [name, ms(stamp_ns), finite(value)]
        self._board.stream("points", POINTS_KEPT).append(point)

    def unplot(self, name: str) -> None:
        """Show a series no longer."""
        self._series = {key: state for key, state in self._series.items() if key != name}
        self._board.value("series").set(self._series)


def levels_dbfs(chunk: AudioChunk) -> tuple[float, float]:
    """Return effective and peak level of a piece of sound, dB below full scale (-90..0)."""
    if not chunk.samples.size:
        return SILENCE_DBFS, SILENCE_DBFS
    samples = chunk.samples.astype(np.float32) / FULL_SCALE
    rms = float(np.sqrt(np.mean(samples**2)))
    peak = float(np.max(np.abs(samples)))
    return _dbfs(rms), _dbfs(peak)


def _dbfs(amplitude: float) -> float:
    return max(SILENCE_DBFS, 20 * math.log10(amplitude)) if amplitude > 0 else SILENCE_DBFS
