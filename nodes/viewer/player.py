"""Plays a recording onto the page's board: what was shown at a time, at any speed, from anywhere.

It shows what was recorded; nothing is computed again. So any place of the recording is there at
once, before or after the present one: the board is emptied, and filled with what the page would
have had at that time.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from olympus.nodes.viewer.audience import Audience
from olympus.nodes.viewer.collector import Collector
from olympus.nodes.viewer.peek import shown
from olympus.nodes.viewer.streams import Board, Json, ms
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import ConfigError, did_you_mean
from olympus.runtime.messages import (
    AudioChunk,
    Battery,
    Command,
    Detections,
    Diagnostic,
    HostStats,
    Image,
    Log,
    Message,
    MissionState,
    Odometry,
    Percept,
    Pose,
    Ranges,
    Reading,
    SafetyState,
    SoundEvent,
    Twist,
    decode,
)
from olympus.runtime.replay.recording import Recording

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
EMPTY: dict[str, Json] = {
    "series": {}, "nodes": [], "topics": [], "percepts": [], "health": [],
    "safety": {"state": "unknown"},
}  # fmt: skip
"""What the page can show where there is nothing yet; all else may be missing."""
_ROWS_NS = NS_PER_S


@dataclass(frozen=True, slots=True)
class Source:
    """One type of message the page shows something of."""

    cls: type[Message]
    handler: str
    """Of the player, or else of the collector."""
    topic: str
    """End of the topic's name."""
    back_s: float
    """What came so long before the place that is sought is shown too."""
    is_kept: bool = False
    """Whether the last one holds until there is another, however old it is."""


SOURCES = (
    Source(Image, "on_image", "camera/image", 0.5),
    Source(Detections, "on_detections", "detections", 0.5),
    Source(AudioChunk, "on_audio", "microphone/audio", 30),
    Source(SoundEvent, "on_sound_event", "sound_events", 600),
    Source(Reading, "on_reading", "iot/readings", 120),
    Source(Pose, "on_pose", "pose", 60),
    Source(Odometry, "on_odometry", "odometry", 60),
    Source(Percept, "on_percept", "percepts", 3),
    Source(Ranges, "on_ranges", "ranges", 1),
    Source(Battery, "on_battery", "battery", 120, is_kept=True),
    Source(Twist, "on_twist", "cmd_vel", 60),
    Source(MissionState, "on_mission", "mission", 5, is_kept=True),
    Source(SafetyState, "on_safety", "safety/state", 5, is_kept=True),
    Source(HostStats, "on_host_stats", "@olympus/stats/*", 60, is_kept=True),
    Source(Diagnostic, "on_diagnostic", "diagnostics", 10),
    Source(Log, "on_log", "@olympus/log", 3600),
)
"""Of messages of the same time, pictures come before what was detected in them."""


def source_of(topic: str) -> Source | None:
    """Return what is shown of a topic; None for nothing."""
    for source in SOURCES:
        end = source.topic
        if end.endswith("*") and topic.startswith(end[:-1]):
            return source
        if topic == end or topic.endswith(f"/{end}"):
            return source
    return None


class Player:
    """Where the page is in a recording, and how fast it goes on."""

    def __init__(
        self, recording: Recording, audience: Audience, *, quality: int = 80, loops: bool = False
    ) -> None:
        """Stand at the beginning, at rest.

        Args:
            recording: Open as long as it is shown.
            audience: Who watches.
            quality: Of the JPEG pictures, 1..100.
            loops: Whether it begins again at the end.
        """
        self._recording, self._audience = recording, audience
        self._quality, self._loops = quality, loops
        self.board = Board()
        self.is_playing, self.speed = False, 1.0
        self.began_ns = recording.since
        self.ended_ns = max(run.ended or run.seen for run in recording.runs)
        self._topics = {
            topic: source for topic in recording.topics if (source := source_of(topic)) is not None
        }
        self._now_ns = self._place_ns = self.began_ns
        self._handlers: dict[type[Message], Callable[[Any], None]] = {}
        self._coming: Iterator[tuple[int, int, bytes]] = iter(())
        self._next: tuple[int, int, bytes] | None = None
        self._rows_ns = 0
        self._collector: Collector | None = None
        self.board.value("marks").set(self._marks())
        self.board.value("session").set({"name": recording.folder.name})
        self.seek(0.0)

    @property
    def length_s(self) -> float:
        """How long it is, s."""
        return (self.ended_ns - self.began_ns) / NS_PER_S

    @property
    def place_s(self) -> float:
        """Where it stands, counted from the beginning, s."""
        return (self._place_ns - self.began_ns) / NS_PER_S

    def now_ms(self) -> float:
        """Return the robot time that is shown, ms."""
        return ms(self._place_ns)

    def seek(self, place_s: float) -> None:
        """Go to a place, and show what there was to see then.

        Args:
            place_s: From the beginning; outside of the recording it is its nearer end.
        """
        target_ns = self.began_ns + round(min(max(place_s, 0.0), self.length_s) * NS_PER_S)
        if self._collector is not None:
            self._collector.forget()
        self.board.start_over(EMPTY, but=("marks", "session"))
        self._audience.start_over()
        collector = Collector(
            self.board, self._audience, lambda: self._now_ns, quality=self._quality
        )
        self._collector, self._rows_ns = collector, 0
        self._handlers = {
            source.cls: getattr(self, source.handler, None) or getattr(collector, source.handler)
            for source in SOURCES
        }
        for frame in self._kept(target_ns):
            self._take(frame)
        self._coming = heapq.merge(*(self._records(topic, target_ns) for topic in self._topics))
        self._next = next(self._coming, None)
        self._go_on(target_ns)
        self._tell()

    def play(
        self,
        *,
        is_playing: bool | None = None,
        speed: float | None = None,
        loops: bool | None = None,
    ) -> None:
        """Go on or rest, and how fast; None leaves it as it is.

        Args:
            is_playing: Whether to go on; from the end it begins anew.
            speed: Times as fast as it was.
            loops: Whether it begins again at the end.
        """
        if loops is not None:
            self._loops = loops
        if speed is not None:
            self.speed = speed
        if is_playing is not None:
            if is_playing and self._place_ns >= self.ended_ns:
                self.seek(0.0)
            self.is_playing = is_playing
        self._tell()

    def advance(self, passed_s: float) -> None:
        """Let time go by.

        Args:
            passed_s: On the watcher's clock.
        """
        if self.is_playing:
            self._go_on(self._place_ns + round(passed_s * self.speed * NS_PER_S))
            if self._place_ns >= self.ended_ns:
                if self._loops:
                    self.seek(0.0)
                else:
                    self.is_playing = False
        self._tell()

    def newest(self, topic: str) -> dict[str, Json]:
        """Return the newest message of a topic at the time that is shown, as the page shows it.

        Raises:
            ConfigError: It was not recorded.
            OlympusError: The store is damaged, or the message is of a type not known here.
        """
        if topic not in self._recording.topics:
            known = did_you_mean(topic, self._recording.topics)
            raise ConfigError(f"{topic} was not recorded; {known}")
        frames = self._recording.store.newest(
            topic, 1, since=self._recording.since, until=self._place_ns
        )
        return shown(decode(frames[0]) if frames else None, len(frames))

    def on_safety(self, state: SafetyState) -> None:
        """Show the latch, as it was."""
        self.board.value("safety").set(
            {
                "state": state.state,
                "cause": state.cause,
                "by": state.by,
                "since": round(ms(state.since or state.header.stamp)),
                "epoch": state.epoch,
                "latch": None,
                "waiting": list(state.waiting_for),
                "gates": [],
            }
        )

    def _go_on(self, target_ns: int) -> None:
        """Show everything up to a time."""
        target_ns = min(target_ns, self.ended_ns)
        while self._next is not None and self._next[0] <= target_ns:
            stamp, _, frame = self._next
            self._now_ns = max(stamp, self.began_ns)
            self._take(frame)
            self._count_rows()
            self._next = next(self._coming, None)
        self._now_ns = self._place_ns = target_ns
        self._count_rows()
        if self._collector is not None:
            self._collector.on_tick()

    def _count_rows(self) -> None:
        """Bring nodes and topics up to date, once a second of the recording."""
        if self._now_ns - self._rows_ns >= _ROWS_NS and self._collector is not None:
            self._rows_ns = self._now_ns
            self._collector.on_rows("")
            self._collector.on_second()

    def _take(self, frame: bytes) -> None:
        message = decode(frame)
        if (handler := self._handlers.get(type(message))) is not None:
            handler(message)

    def _kept(self, target_ns: int) -> Iterator[bytes]:
        """Yield what still holds from before the time that is read."""
        for topic, source in self._topics.items():
            if source.is_kept:
                until = target_ns - round(source.back_s * NS_PER_S) - 1
                yield from self._recording.store.newest(
                    topic, 1, since=self._recording.since, until=max(0, until)
                )

    def _records(self, topic: str, target_ns: int) -> Iterator[tuple[int, int, bytes]]:
        source = self._topics[topic]
        since = max(self._recording.since, target_ns - round(source.back_s * NS_PER_S))
        order = SOURCES.index(source)
        for one in self._recording.store.records(topic, since=since, until=self._recording.until):
            yield one.stamp, order, one.frame

    def _marks(self) -> list[Json]:
        """Return what stands out, for the bar: when, s, of which kind, in words."""
        found: list[tuple[float, str, str]] = []
        for topic in self._recording.topics:
            if topic.endswith(("safety/state", "/command", "/sound_events")):
                for message in self._recording.store.read(
                    topic, since=self._recording.since, until=self._recording.until
                ):
                    found += self._mark(message)
        return [list(one) for one in sorted(found)]

    def _mark(self, message: Message) -> list[tuple[float, str, str]]:
        at_s = round((message.header.stamp - self.began_ns) / NS_PER_S, 3)
        match message:
            case SafetyState(state="tripped"):
                return [(at_s, "stop", f"stopped: {message.cause}")]
            case Command():
                return [(at_s, "command", message.text)]
            case SoundEvent():
                return [(at_s, "sound", f"heard: {message.label}")]
        return []

    def _tell(self) -> None:
        """Tell the page where it is."""
        self.board.value("replay").set(
            {
                "name": self._recording.folder.name,
                "began": ms(self.began_ns),
                "length": round(self.length_s, 3),
                "place": round(self.place_s, 3),
                "is_playing": self.is_playing,
                "speed": self.speed,
                "loops": self._loops,
            }
        )
