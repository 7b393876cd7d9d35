"""The guardian's view of everything, as it is told to people and pages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from olympus.runtime.errors import SafetyError
from olympus.runtime.safety.state import Mode, Trip


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """A heartbeat, as the guardian sees it."""

    name: str
    age_s: float | None
    """Time since the newest beat; None when there never was one."""
    limit_s: float | None
    """Longest silence allowed; None when it is seen but not required."""
    is_fresh: bool


@dataclass(frozen=True, slots=True)
class GateStatus:
    """A gate, as the guardian sees it."""

    name: str
    age_s: float | None
    """Time since its newest tick; None when there never was one."""
    limit_s: float | None
    """Longest silence allowed; None when it is seen but not required."""
    is_fresh: bool
    is_neutral: bool | None
    """Whether the actuator took a neutral output at that tick; None when there never was one."""
    is_still: bool | None
    """Whether it is measured to stand; None where nothing measures it, or not since the stop."""
    epoch: int
    """The permission it acts on; 0 for none."""
    reason: str
    """Why it gave that output; a name of `acks.Reason`."""


@dataclass(frozen=True, slots=True)
class ConditionStatus:
    """Something that motion depends on, as it was last reported."""

    name: str
    ok: bool
    text: str


@dataclass(frozen=True, slots=True)
class BackstopStatus:
    """A backstop, as the guardian sees it."""

    name: str
    problem: str
    """What stands against motion; empty when it is well."""
    text: str
    """How it stands."""
    facts: Mapping[str, Any]
    """Its own numbers, and how it was fed."""


@dataclass(frozen=True, slots=True)
class StopInputStatus:
    """The stop input, as the guardian reads it."""

    text: str
    """What is read."""
    is_pressed: bool
    """Whether it is pressed, cut, lost, or was let go a moment ago only."""
    problem: str
    """What stands against motion; empty when it is released."""
    seen: str
    """When a press is seen: at once, or at the guardian's next look."""
    presses: int
    """How often it was pressed or lost."""


@dataclass(frozen=True, slots=True)
class Status:
    """The guardian's view of everything."""

    state: Mode
    cause: str
    """Why it is stopped: the first trip since the last permission; empty when there is none."""
    by: str
    """Who stopped it, or who gave the permission."""
    since_ns: int
    """When this state began, CLOCK_MONOTONIC."""
    now_ns: int
    """When this was told, CLOCK_MONOTONIC."""
    epoch: int
    """Counts permissions."""
    latch: int
    """Counts trips; a reset names the one it answers to."""
    trips: tuple[Trip, ...]
    """What is latched: the first trip, then the newest others."""
    heartbeats: tuple[WatchStatus, ...]
    gates: tuple[GateStatus, ...]
    conditions: tuple[ConditionStatus, ...]
    backstops: tuple[BackstopStatus, ...]
    estop: StopInputStatus | None
    """The stop input; None where the launch file names none."""
    blockers: tuple[str, ...]
    """What stands against a reset, in words."""
    is_reset_stuck: bool
    """Whether reset has been held for so long that it is an error."""
    troubles: tuple[str, ...]
    """What does not work as announced, though nothing stands against motion for it."""
    counters: Mapping[str, int]
    realtime: Mapping[str, str]
    """What the system granted or refused the guardian."""
    pid: int
    """The guardian's process."""

    @property
    def is_permitted(self) -> bool:
        """Whether motion is permitted."""
        return self.state is Mode.PERMITTED

    @property
    def since_s(self) -> float:
        """How long it has been in this state, in seconds."""
        return (self.now_ns - self.since_ns) / 1e9


_PLAIN: Final = (
    "cause",
    "by",
    "since_ns",
    "now_ns",
    "epoch",
    "latch",
    "counters",
    "realtime",
    "pid",
    "is_reset_stuck",
)


def read_status(reply: Mapping[str, Any]) -> Status:
    """Understand the guardian's answer.

    Args:
        reply: The answer, from JSON.

    Returns:
        The status.

    Raises:
        SafetyError: It is not the answer of a guardian of this version.
    """
    try:
        return Status(
            state=Mode(reply["state"]),
            trips=tuple(Trip(**one) for one in reply["trips"]),
            heartbeats=tuple(WatchStatus(**one) for one in reply["heartbeats"]),
            gates=tuple(GateStatus(**one) for one in reply["gates"]),
            conditions=tuple(ConditionStatus(**one) for one in reply["conditions"]),
            backstops=tuple(BackstopStatus(**one) for one in reply["backstops"]),
            estop=StopInputStatus(**reply["estop"]) if reply["estop"] else None,
            blockers=tuple(reply["blockers"]),
            troubles=tuple(reply["troubles"]),
            **{name: reply[name] for name in _PLAIN},
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SafetyError(
            f"the guardian's status can't be read ({error!r}); do both sides have one version?"
        ) from error
