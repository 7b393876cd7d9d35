"""What a guardian is told at its start: one JSON file, checked field by field."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from olympus.runtime.errors import ConfigError, did_you_mean
from olympus.runtime.safety.backstop import Spec, entries, specs
from olympus.runtime.safety.shared import NAME_BYTES
from olympus.runtime.safety.stopinput import StopInput, read_stop_input, written

LONGEST_LIMIT_S: Final = 10.0
"""No watched thing may be silent for longer."""

MOST_NAMES: Final = 32
"""Most heartbeats, gates, or conditions that one guardian keeps."""

_Value = TypeVar("_Value")
_NOTHING: Final[Mapping[str, float]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Settings:
    """A guardian's configuration.

    Raises:
        ConfigError: A value is out of range, or nothing is watched.
    """

    dir: Path
    """The safety directory; best on a tmpfs."""
    watch: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    """Heartbeat name -> longest silence in seconds."""
    gates: Mapping[str, float] = field(default_factory=lambda: _NOTHING)
    """Gate name -> longest silence in seconds; a gate not named here is seen, but not required."""
    conditions: tuple[str, ...] = ()
    """Conditions that must have been reported good before motion is permitted."""
    backstops: tuple[Spec, ...] = ()
    """What is fed behind the gates: relays, watchdogs."""
    estop: StopInput | None = None
    """The stop input that the guardian reads itself; None for none."""
    beside: Path | None = None
    """Folder in which backstops are looked for too: that of the launch file."""
    lease_ms: int = 60
    """How long a lease stays valid unless renewed; at least two periods, at most 1000."""
    period_ms: int = 10
    """How often the guardian looks and renews."""
    sched_fifo: int | None = None
    """Real-time priority 1..99 to ask for, or None."""
    lock_memory: bool = True
    """Whether to ask for locked memory."""
    die_with_parent: bool = False
    """Whether to stop everything and end when the parent process ends."""
    parent_pid: int | None = None
    """The parent expected; None for whoever it is at the start."""
    keys_file: Path | None = None
    """Keys of those who may stop from other machines, `seal.read_keys`; None for nobody."""
    clock_offset_ns: int = 0
    """Robot time minus CLOCK_MONOTONIC, for the stamps in the event log only."""

    def __post_init__(self) -> None:
        """Refuse what can't be meant.

        Raises:
            ConfigError: A value is out of range, or nothing is watched.
        """
        if not self.watch and not self.gates:
            raise ConfigError("safety: nothing is watched; name a heartbeat in `watch` or a gate")
        if not 1 <= self.period_ms <= 100:
            raise ConfigError(f"safety.period_ms={self.period_ms} is not in 1..100")
        if not 2 * self.period_ms <= self.lease_ms <= 1000:
            raise ConfigError(
                f"safety.lease_ms={self.lease_ms} is not in {2 * self.period_ms}..1000, "
                "two periods to one second"
            )
        if self.sched_fifo is not None and not 1 <= self.sched_fifo <= 99:
            raise ConfigError(
                f"safety.sched_fifo={self.sched_fifo} is not in 1..99; or leave it out"
            )
        _check_limits("watch", self.watch)
        _check_limits("gates", self.gates)
        _check_names("conditions", self.conditions)

    def to_json(self) -> str:
        """Write the settings so that `load` reads the same."""
        plain = {one.name: getattr(self, one.name) for one in fields(self)}
        plain |= {"dir": str(self.dir), "watch": dict(self.watch), "gates": dict(self.gates)}
        plain["backstops"] = entries(self.backstops)
        plain["estop"] = written(self.estop)
        plain["beside"] = str(self.beside) if self.beside else None
        plain["keys_file"] = str(self.keys_file) if self.keys_file else None
        return json.dumps(plain, indent=1)


def load(path: Path) -> Settings:
    """Read a guardian's configuration.

    Args:
        path: A JSON file with the fields of `Settings`.

    Returns:
        The settings, checked.

    Raises:
        ConfigError: The file is missing, no JSON, or has a wrong field.
    """
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"guardian configuration {path}: {error}") from error
    if not isinstance(found, dict):
        raise ConfigError(
            f"guardian configuration {path}: expected an object with `dir`, `watch` …"
        )
    return parse(found)


def parse(found: Mapping[str, object]) -> Settings:
    """Check a configuration that was read from JSON.

    Args:
        found: Fields by name.

    Returns:
        The settings.

    Raises:
        ConfigError: A field is unknown, missing, of the wrong type, or out of range.
    """
    known = [one.name for one in fields(Settings)]
    for name in found:
        if name not in known:
            raise ConfigError(f"safety.{name} is no setting; {did_you_mean(name, known)}")
    if "dir" not in found:
        raise ConfigError("safety.dir is missing; name the safety directory")
    return Settings(
        dir=Path(_typed(found, "dir", str, "")),
        watch=_limits(found, "watch"),
        gates=_limits(found, "gates"),
        conditions=_names(found, "conditions"),
        backstops=specs(found.get("backstops", [])),
        estop=read_stop_input(found.get("estop")),
        beside=Path(_typed(found, "beside", str, "")) if found.get("beside") else None,
        lease_ms=_typed(found, "lease_ms", int, 60),
        period_ms=_typed(found, "period_ms", int, 10),
        sched_fifo=_optional_int(found, "sched_fifo"),
        lock_memory=_typed(found, "lock_memory", bool, True),
        die_with_parent=_typed(found, "die_with_parent", bool, False),
        parent_pid=_optional_int(found, "parent_pid"),
        keys_file=Path(_typed(found, "keys_file", str, "")) if found.get("keys_file") else None,
        clock_offset_ns=_typed(found, "clock_offset_ns", int, 0),
    )


def _typed(found: Mapping[str, object], name: str, kind: type[_Value], default: _Value) -> _Value:
    value = found.get(name, default)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigError(f"safety.{name}={value!r} must be of type {kind.__name__}")
    return value


def _optional_int(found: Mapping[str, object], name: str) -> int | None:
    return None if found.get(name) is None else _typed(found, name, int, 0)


def _limits(found: Mapping[str, object], name: str) -> Mapping[str, float]:
    limits: dict[str, float] = {}
    for key, value in _typed(found, name, dict, {}).items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ConfigError(f"safety.{name}.{key}={value!r} must be a number of seconds")
        limits[str(key)] = float(value)
    return MappingProxyType(limits)


def _names(found: Mapping[str, object], name: str) -> tuple[str, ...]:
    names = _typed(found, name, list, [])
    if not all(isinstance(one, str) for one in names):
        raise ConfigError(f"safety.{name}={names!r} must be a list of names")
    return tuple(names)


def _check_limits(name: str, limits: Mapping[str, float]) -> None:
    _check_names(name, tuple(limits))
    for key, limit_s in limits.items():
        if not (math.isfinite(limit_s) and 0 < limit_s <= LONGEST_LIMIT_S):
            raise ConfigError(
                f"safety.{name}.{key}={limit_s} s must be above 0 and at most {LONGEST_LIMIT_S:g} s"
            )


def _check_names(name: str, names: tuple[str, ...]) -> None:
    if len(names) > MOST_NAMES:
        raise ConfigError(f"safety.{name} has {len(names)} names; at most {MOST_NAMES} are kept")
    for one in names:
        if not 0 < len(one.encode()) <= NAME_BYTES or "\0" in one:
            raise ConfigError(f"safety.{name}: {one!r} must have 1 to {NAME_BYTES} letters")
