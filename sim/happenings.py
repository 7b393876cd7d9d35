"""What happens in the building besides walking and driving: sounds, smoke, warmth, doors."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from olympus.runtime.errors import ConfigError, did_you_mean
from olympus.sim.floorplan import ROOM_NAMES

SOUNDS: dict[str, str] = {
    "shout_stop": "stop",
    "shout_go": "go",
    "shout_help": "help",
    "speech": "speech_other",
    "siren": "siren",
    "crash": "crash",
    "clap": "clap",
    "glass": "glass",
    "alarm": "alarm",
}
"""Events that are heard, and the label `sounds.synthesize` knows each by."""

SPOKEN = ("shout_stop", "shout_go", "shout_help", "speech")
REPEATS: dict[str, int] = {"siren": 4, "alarm": 4}
"""Events that go on for a while: how often their sound is repeated."""
REPEAT_NS = 1_500_000_000

DOINGS = ("smoke", "smoke_clear", "heat", "door_open", "door_close")
"""Events that IoT devices notice; `smoke:lab` happens in the lab."""

EVENTS = (*SOUNDS, *DOINGS)
DEFAULT_ROOM = "kitchen"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happens at a set time."""

    at_s: float
    """World time."""
    name: str
    """One of `EVENTS`; for `DOINGS` a room may follow a colon."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A sound that began somewhere."""

    label: str
    start_ns: int
    """World time."""
    x: float
    y: float
    seed: int


@dataclass(slots=True)
class Climate:
    """The air of one room."""

    temperature_c: float
    base_c: float
    smoke: float = 0.0
    """Obscuration, percent per metre."""
    is_burning: bool = False
    warmth_c: float = 0.0
    """Extra temperature wanted by a `heat` event."""

    def step(self, dt: float, time_s: float, phase: float) -> None:
        """Let the air change for `dt` seconds."""
        want = self.base_c + 0.4 * math.sin(time_s / 90 + phase) + self.warmth_c
        want += 18.0 if self.is_burning else 0.0
        self.temperature_c += (want - self.temperature_c) * dt / 20
        target, tau = (9.0, 6.0) if self.is_burning else (0.05, 10.0)
        self.smoke += (target - self.smoke) * dt / tau


@dataclass(slots=True)
class Happenings:
    """The state that IoT devices see, and the sounds that were made."""

    seed: int
    rooms: dict[str, Climate] = field(default_factory=dict)
    is_door_held_open: bool = False
    """Somebody propped the watched door open."""
    sounds: list[Sound] = field(default_factory=list)
    _made: int = 0

    def __post_init__(self) -> None:
        rng = random.Random(f"climate {self.seed}")
        for name in ROOM_NAMES:
            base = round(rng.uniform(19.0, 23.5), 2)
            self.rooms[name] = Climate(base, base)

    def step(self, dt: float, time_s: float) -> None:
        """Let every room's air change."""
        for i, climate in enumerate(self.rooms.values()):
            climate.step(dt, time_s, float(i))

    def make_sound(self, label: str, time_ns: int, where: tuple[float, float]) -> Sound:
        """Let a sound begin; only those of the last minute are kept."""
        sound = Sound(label, time_ns, *where, seed=self.seed * 1009 + self._made)
        self._made += 1
        recent = [s for s in self.sounds if s.start_ns > time_ns - 60_000_000_000]
        self.sounds = [*recent, sound]
        return sound

    def do(self, name: str) -> None:
        """Let one of `DOINGS` happen.

        Raises:
            ConfigError: There is no such event or room.
        """
        deed, _, place = name.partition(":")
        climate = self.rooms.get(place or DEFAULT_ROOM)
        if climate is None:
            raise ConfigError(
                f"event {name!r}: no room {place!r}; {did_you_mean(place, self.rooms)}"
            )
        if deed in ("smoke", "smoke_clear"):
            climate.is_burning = deed == "smoke"
        elif deed == "heat":
            climate.warmth_c = 12.0
        elif deed in ("door_open", "door_close"):
            self.is_door_held_open = deed == "door_open"
        else:
            raise ConfigError(f"no event {deed!r}; {did_you_mean(deed, EVENTS)}")
