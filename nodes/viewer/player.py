"""Plays a recording onto the page's board: what was shown at a time, at any speed, from anywhere.

It shows what was recorded; nothing is computed again. So any place of the recording is there at
once, before or after the present one: a new scene is set up behind the one that is shown, and takes
its place when it is ready.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from olympus.nodes.viewer.audience import Audience
from olympus.nodes.viewer.peek import shown
from olympus.nodes.viewer.scene import Scene, source_of
from olympus.nodes.viewer.streams import Board, Json, ms
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import ConfigError, StoreError, did_you_mean
from olympus.runtime.messages import Command, Message, SafetyState, SoundEvent, decode
from olympus.runtime.replay.recording import Recording

SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
KEPT = ("marks", "session", "replay")
"""What the board says of the recording, not of a place in it."""
TURN_S = 0.01
"""How long a scene is set up before others get their turn."""


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
        self._scene = self._scene_at(0.0)
        self._wishes = 0
        """How often somebody wanted to go somewhere."""
        self._is_on_its_way = False
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
        return (self._scene.place_ns - self.began_ns) / NS_PER_S

    def now_ms(self) -> float:
        """Return the robot time that is shown, ms."""
        return ms(self._scene.place_ns)

    def seek(self, place_s: float) -> None:
        """Go to a place at once, and show what there was to see then.

        Args:
            place_s: From the beginning; outside of the recording it is its nearer end.

        Raises:
            StoreError: The store is damaged.
        """
        self._wishes += 1
        self._is_on_its_way = False
        for _ in self._way_to(place_s):
            pass

    async def go(self, place_s: float, *, turn_s: float = TURN_S) -> bool:
        """Go to a place as `seek` does, and let others have their turn on the way.

        Until it is there, the page keeps what it shows, at rest.

        Args:
            place_s: As for `seek`.
            turn_s: How long to work before others have their turn.

        Returns:
            Whether it got there: False when somebody wanted to be elsewhere meanwhile.

        Raises:
            StoreError: The store is damaged.
        """
        self._wishes += 1
        wish, self._is_on_its_way = self._wishes, True
        try:
            due_s = time.monotonic() + turn_s  # varies: somebody watches
            for _ in self._way_to(place_s):
                if time.monotonic() >= due_s:  # varies: somebody watches
                    await asyncio.sleep(0)
                    if wish != self._wishes:
                        return False
                    due_s = time.monotonic() + turn_s  # varies: somebody watches
        finally:
            if wish == self._wishes:
                self._is_on_its_way = False
        return True

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
            if is_playing and self._scene.place_ns >= self.ended_ns:
                self.seek(0.0)
            self.is_playing = is_playing
        self._tell()

    def advance(self, passed_s: float) -> None:
        """Let time go by; where the store can't be read it rests, and the log says why.

        Args:
            passed_s: On the watcher's clock.
        """
        if self.is_playing and not self._is_on_its_way:
            place_ns = self._scene.place_ns + round(passed_s * self.speed * NS_PER_S)
            try:
                self._play_on(min(place_ns, self.ended_ns))
            except StoreError as error:
                self.is_playing = False
                self._scene.note(f"the recording can't be played on from here: {error}")
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
            topic, 1, since=self._recording.since, until=self._scene.place_ns
        )
        return shown(decode(frames[0]) if frames else None, len(frames))

    def _play_on(self, place_ns: int) -> None:
        self._scene.go_on(place_ns)
        if place_ns < self.ended_ns:
            return
        if self._loops:
            self.seek(0.0)
        else:
            self.is_playing = False

    def _scene_at(self, place_s: float) -> Scene:
        place_ns = self.began_ns + round(min(max(place_s, 0.0), self.length_s) * NS_PER_S)
        return Scene(
            self._recording, self._topics, self._audience, place_ns=place_ns, quality=self._quality
        )

    def _way_to(self, place_s: float) -> Iterator[None]:
        scene = self._scene_at(place_s)
        yield from scene.set_up()
        self._scene.take_down()
        self._scene = scene
        self.board.become(scene.board, but=KEPT)
        self._audience.start_over()
        scene.reveal()
        self._tell()

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
                "unread": sum(self._scene.unread.values()),
            }
        )
