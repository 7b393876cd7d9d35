"""From detections, ranges, sounds and readings to claims about the world."""

from __future__ import annotations

import math

from olympus.nodes.fusion import CameraGeometry, Sight, Tracks, locate
from olympus.runtime.messages import (
    Detections,
    Header,
    Message,
    Percept,
    Ranges,
    Reading,
    SoundEvent,
)
from olympus.runtime.node import Field, Node, NodeParams, output, subscribe
from olympus.runtime.qos import QoS, Tier


class Percepts(Node):
    """Says what is where, how sure, and for how long that is worth something."""

    class Params(NodeParams):
        """What the camera sees how, and which readings matter."""

        camera_hfov_deg: float = Field(
            80.0, gt=10, lt=170, description="Horizontal field of view of the camera."
        )
        camera_tilt_deg: float = Field(
            6.9, ge=-60, le=60, description="How far the camera looks up."
        )
        camera_height_m: float = Field(
            0.46, gt=0.02, le=3, description="Height of the lens over the floor."
        )
        camera_forward_m: float = Field(
            0.14, ge=-2, le=2, description="How far the lens stands before the rover's middle."
        )
        person_height_m: float = Field(
            1.7, gt=0.5, lt=2.5, description="Height that a person's distance is reckoned with."
        )
        min_confidence: float = Field(
            0.5, ge=0, le=1, description="Detections below it make no percept."
        )
        lifetime_s: float = Field(
            0.6, gt=0, le=10, description="How long a claim about an object is worth something."
        )
        range_max_age_s: float = Field(
            0.5, gt=0, le=5, description="Older ranges say nothing about a detection's distance."
        )
        alarms: dict[str, float] = Field(
            default={"smoke": 0.5},
            description="Readings whose name ends so make a percept from this value up.",
        )

    params: Params
    percepts = output("percepts", Percept, is_reliable=True)

    async def on_configure(self) -> None:
        """Start without memories."""
        self._tracks = Tracks()
        self._ranges: Ranges | None = None

    @subscribe("ranges")
    def on_ranges(self, ranges: Ranges) -> None:
        """Remember the newest distances."""
        self._ranges = ranges

    @subscribe("detections")
    def on_detections(self, detections: Detections) -> None:
        """Place each thing seen, and say that a picture was looked at."""
        camera = CameraGeometry(
            hfov_deg=self.params.camera_hfov_deg,
            aspect=detections.width / max(detections.height, 1),
            person_height_m=self.params.person_height_m,
            tilt_rad=math.radians(self.params.camera_tilt_deg),
            height_m=self.params.camera_height_m,
            forward_m=self.params.camera_forward_m,
        )
        ranges = self._fresh_ranges(detections)
        sights = [
            locate(item, camera, ranges)
            for item in detections.items
            if item.confidence >= self.params.min_confidence
        ]
        stamp = detections.header.stamp
        for sight, track in self._tracks.follow(sights, stamp):
            self._claim_object(sight, track, detections)
        view = Percept(
            kind="view",
            label="occupied" if sights else "clear",
            confidence=1.0,
            how=detections.model,
            header=self._header(stamp),
        )
        self.percepts.publish(view, cause=detections)

    @subscribe("sound_events", qos=QoS.queue(10))
    def on_sound(self, event: SoundEvent) -> None:
        """Hand on what was heard."""
        tier = Tier.HIGH if event.label == "stop" else Tier.NORMAL
        claim = Percept(
            kind="sound",
            label=event.label,
            confidence=event.confidence,
            how=event.model,
            header=Header(stamp=event.header.stamp, tier=tier),
        )
        self.percepts.publish(claim, cause=event)

    @subscribe("iot/readings", qos=QoS.queue(50))
    def on_reading(self, reading: Reading) -> None:
        """Claim an alarm where a reading reaches its threshold."""
        for ending, threshold in self.params.alarms.items():
            if reading.valid and reading.name.endswith(ending) and reading.value >= threshold:
                self._claim_alarm(reading, ending)

    def _claim_object(self, sight: Sight, track: int, cause: Message) -> None:
        claim = Percept(
            kind="object",
            label=sight.label,
            confidence=sight.confidence,
            bearing_rad=sight.bearing_rad,
            distance_m=sight.distance_m,
            track=track,
            how=sight.how,
            header=self._header(cause.header.stamp),
        )
        self.percepts.publish(claim, cause=cause)

    def _claim_alarm(self, reading: Reading, label: str) -> None:
        claim = Percept(
            kind="reading",
            label=label,
            confidence=1.0,
            how=reading.name,
            value=reading.value,
            header=Header(stamp=reading.header.stamp, tier=Tier.HIGH),
        )
        self.percepts.publish(claim, cause=reading)

    def _header(self, stamp: int) -> Header:
        return Header(stamp=stamp, expires=stamp + int(self.params.lifetime_s * 1e9))

    def _fresh_ranges(self, detections: Detections) -> Ranges | None:
        if self._ranges is None:
            return None
        age_ns = abs(detections.header.stamp - self._ranges.header.stamp)
        return self._ranges if age_ns <= self.params.range_max_age_s * 1e9 else None
