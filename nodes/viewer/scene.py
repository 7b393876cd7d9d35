"""What the page shows at a time of a recording, and from there on."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from olympus.nodes.viewer.collector import RATES_KEPT, Collector, Watchers
from olympus.nodes.viewer.streams import Board, Json, ms
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import DamageError, MessageError
from olympus.runtime.messages import (
    AudioChunk,
    Battery,
    Detections,
    Diagnostic,
    Header,
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
from olympus.runtime.store.records import Vault, unseal

EMPTY: dict[str, Json] = {
    "series": {}, "nodes": [], "topics": [], "percepts": [], "health": [],
    "safety": {"state": "unknown"},
}  # fmt: skip
"""What the page can show where there is nothing yet; all else may be missing."""
Row: TypeAlias = tuple[int, int, str, bytes, bytes]
"""Capture time, ns; which source; topic; key and envelope in the store."""
_ROWS_NS = NS_PER_S


@dataclass(frozen=True, slots=True)
class Source:
    """One type of message the page shows something of."""

    cls: type[Message]
    handler: str
    """Of the scene, or else of the collector."""
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
    Source(HostStats, "on_host_stats", "@olympus/stats/*", RATES_KEPT, is_kept=True),
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


class Curtain:
    """Keeps pictures back until the scene is shown; then the newest of them goes out."""

    def __init__(self, audience: Watchers) -> None:
        """Hang before an audience, closed."""
        self._audience = audience
        self._is_open = False
        self._newest: Callable[[], bytes] | None = None

    @property
    def wants_picture(self) -> bool:
        """Whether anybody watches the camera."""
        return self._audience.wants_picture

    def offer_picture(self, encode: Callable[[], bytes]) -> None:
        """Have a picture sent, now or when the curtain opens."""
        if self._is_open:
            self._audience.offer_picture(encode)
        else:
            self._newest = encode

    def open(self) -> None:
        """Let through the newest picture, and those that come."""
        self._is_open = True
        if self._newest is not None:
            self._audience.offer_picture(self._newest)
            self._newest = None


class Scene:
    """A board filled with what the page would have had at a time, and what comes after it."""

    def __init__(
        self,
        recording: Recording,
        topics: Mapping[str, Source],
        audience: Watchers,
        *,
        place_ns: int,
        quality: int,
    ) -> None:
        """Have an empty board; `set_up` fills it.

        Args:
            recording: Open as long as it is shown.
            topics: What is shown of it.
            audience: Who watches, once it is revealed.
            place_ns: The time, robot time.
            quality: Of the JPEG pictures, 1..100.
        """
        self.board = Board()
        for name, state in EMPTY.items():
            self.board.value(name).set(state)
        self.place_ns = place_ns
        self.unread: dict[str, int] = {}
        """By topic, how many messages can't be shown."""
        self._recording, self._topics = recording, topics
        self._now_ns = recording.since
        self._rows_ns = place_ns - RATES_KEPT * _ROWS_NS  # rows of before that are forgotten anyway
        self._curtain = Curtain(audience)
        self._collector = collector = Collector(
            self.board, self._curtain, lambda: self._now_ns, quality=quality
        )
        self._handlers: dict[type[Message], Callable[[Any], None]] = {
            source.cls: getattr(self, source.handler, None) or getattr(collector, source.handler)
            for source in SOURCES
        }
        self._coming: Iterator[Row] = iter(())
        self._next: Row | None = None

    def set_up(self) -> Iterator[None]:
        """Fill the board, a message at each step.

        Raises:
            StoreError: The store is damaged, or its key is missing.
        """
        for topic, source in self._topics.items():
            if source.is_kept:
                self._take(topic, partial(self._last, topic, source), is_kept=True)
                yield
        self._coming = heapq.merge(*(self._rows(topic) for topic in self._topics))
        self._next = next(self._coming, None)
        yield from self._up_to(self.place_ns)

    def reveal(self) -> None:
        """Show its picture, and those that come."""
        self._curtain.open()

    def take_down(self) -> None:
        """Show no picture that still waits."""
        self._collector.forget()

    def go_on(self, place_ns: int) -> None:
        """Show everything up to a time.

        Raises:
            StoreError: The store is damaged.
        """
        for _ in self._up_to(place_ns):
            pass

    def note(self, text: str) -> None:
        """Say in the page's log what is wrong with the recording."""
        header = Header(stamp=self._now_ns)
        self._collector.on_log(Log(header=header, level="error", logger="replay", text=text))

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

    def _up_to(self, place_ns: int) -> Iterator[None]:
        while self._next is not None and self._next[0] <= place_ns:
            stamp, _, topic, key, value = self._next
            self._now_ns = max(stamp, self._recording.since)
            vault = self._recording.store.vault
            self._take(topic, partial(_frame, topic, key, value, vault))
            self._count_rows()
            self._next = next(self._coming, None)
            yield
        self._now_ns = self.place_ns = place_ns
        self._count_rows()
        self._collector.on_tick()

    def _count_rows(self) -> None:
        """Bring nodes and topics up to date, once a second of the recording."""
        if self._now_ns - self._rows_ns >= _ROWS_NS:
            self._rows_ns = self._now_ns
            self._collector.on_rows("")
            self._collector.on_second()

    def _take(self, topic: str, read: Callable[[], bytes | None], *, is_kept: bool = False) -> None:
        """Show a message; one that can't be shown is counted, and the first of a topic logged."""
        try:
            if (frame := read()) is None:
                return
            message = decode(frame)
            if is_kept:  # it came when it came, not at the beginning: nobody was away meanwhile
                self._now_ns = max(message.header.stamp, self._recording.since)
            if (handler := self._handlers.get(type(message))) is not None:
                handler(message)
        except (MessageError, DamageError) as error:
            self.unread[topic] = self.unread.get(topic, 0) + 1
            if self.unread[topic] == 1:
                self.note(f"{topic}: a message can't be shown: {error}")

    def _last(self, topic: str, source: Source) -> bytes | None:
        """Return what still holds from before the time that is read."""
        until = self.place_ns - round(source.back_s * NS_PER_S) - 1
        found = self._recording.store.newest(
            topic, 1, since=self._recording.since, until=max(0, until)
        )
        return found[0] if found else None

    def _rows(self, topic: str) -> Iterator[Row]:
        source = self._topics[topic]
        since = max(self._recording.since, self.place_ns - round(source.back_s * NS_PER_S))
        order = SOURCES.index(source)
        for key, value in self._recording.store.rows(
            topic, since=since, until=self._recording.until
        ):
            yield int.from_bytes(key[:8], "big"), order, topic, key, value


def _frame(topic: str, key: bytes, value: bytes, vault: Vault | None) -> bytes:
    return unseal(topic, key, value, vault).frame
