"""The stop state as pure functions over one frozen table.

Source: modelled on the function block SF_EmergencyStop of PLCopen TC5 "Safety Software", part 1:
output off at start, a reset is a rising edge, and one that is already held has no effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Final

QUIET_NS: Final = 200_000_000
"""Presses of reset that follow each other faster than this are one held button, not new acts."""

KEPT_TRIPS: Final = 8
"""How many trips a latch remembers: the first one always, then the newest."""


class Mode(StrEnum):
    """What actuators may do."""

    STOPPED = "STOPPED"
    """Not yet permitted since the guardian started."""
    PERMITTED = "PERMITTED"
    """Motion is allowed while the lease is renewed."""
    TRIPPED = "TRIPPED"
    """A stop was asked for or a fault was seen; it holds until a reset."""


class Input(Enum):
    """Everything that can happen to the state."""

    STOP = "stop"
    """Somebody asked for a stop."""
    HEALTHY = "healthy"
    """A look at heartbeats, gates and conditions found nothing against motion."""
    FAULT = "fault"
    """The same look found something against motion."""
    RESET = "reset"
    """A fresh press of reset, for the newest trip, with nothing against motion."""
    RESET_BLOCKED = "reset blocked"
    """A fresh press of reset while something stands against motion."""
    RESET_HELD = "reset held"
    """A press that follows another one too soon to be a new act."""
    RESET_OUTDATED = "reset outdated"
    """A press by someone who has not seen the newest trip."""


class Action(Enum):
    """What the guardian must do after an input."""

    NOTHING = "nothing"
    RENEW = "renew"
    LATCH = "latch"
    GRANT = "grant"
    REFUSE = "refuse"


_S, _P, _T = Mode.STOPPED, Mode.PERMITTED, Mode.TRIPPED

TABLE: Final[Mapping[tuple[Mode, Input], tuple[Mode, Action]]] = MappingProxyType(
    {
        (_S, Input.STOP): (_T, Action.LATCH),
        (_S, Input.HEALTHY): (_S, Action.NOTHING),
        (_S, Input.FAULT): (_S, Action.NOTHING),
        (_S, Input.RESET): (_P, Action.GRANT),
        (_S, Input.RESET_BLOCKED): (_S, Action.REFUSE),
        (_S, Input.RESET_HELD): (_S, Action.REFUSE),
        (_S, Input.RESET_OUTDATED): (_S, Action.REFUSE),
        (_P, Input.STOP): (_T, Action.LATCH),
        (_P, Input.HEALTHY): (_P, Action.RENEW),
        (_P, Input.FAULT): (_T, Action.LATCH),
        (_P, Input.RESET): (_P, Action.NOTHING),
        (_P, Input.RESET_BLOCKED): (_T, Action.LATCH),
        (_P, Input.RESET_HELD): (_P, Action.REFUSE),
        (_P, Input.RESET_OUTDATED): (_P, Action.REFUSE),
        (_T, Input.STOP): (_T, Action.LATCH),
        (_T, Input.HEALTHY): (_T, Action.NOTHING),
        (_T, Input.FAULT): (_T, Action.NOTHING),
        (_T, Input.RESET): (_P, Action.GRANT),
        (_T, Input.RESET_BLOCKED): (_T, Action.REFUSE),
        (_T, Input.RESET_HELD): (_T, Action.REFUSE),
        (_T, Input.RESET_OUTDATED): (_T, Action.REFUSE),
    }
)
"""(mode, input) -> (next mode, action). Complete: a test walks every pair."""


@dataclass(frozen=True, slots=True)
class Trip:
    """Why a stop was latched."""

    cause: str
    """What happened, in words."""
    by: str
    """Who asked, or `guardian` where it saw a fault itself."""
    at_ns: int
    """When, CLOCK_MONOTONIC."""
    evidence: str = ""
    """What was measured, in words."""


@dataclass(frozen=True, slots=True)
class State:
    """The whole memory of the stop."""

    mode: Mode
    epoch: int
    """Counts permissions; a lease or command of an older one is never valid again."""
    latch: int = 0
    """Counts trips; a reset names the one it answers to."""
    since_ns: int = 0
    """When this mode began, CLOCK_MONOTONIC."""
    trips: tuple[Trip, ...] = ()
    """What is latched: first the trip that stopped motion, then the newest others."""
    granted_by: str = ""
    """Who gave the newest permission."""
    pressed_ns: int | None = None
    """When reset was last pressed, whether or not it had an effect."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the state: where it leads, what is to be done, and why it was refused."""

    state: State
    action: Action
    refusal: str = ""
    """Empty, or why a reset had no effect, with the way out."""


def boot(epoch: int, now_ns: int) -> State:
    """Begin stopped.

    Args:
        epoch: The newest epoch that any earlier guardian may have granted; 0 when there was none.
        now_ns: CLOCK_MONOTONIC.

    Returns:
        The state at start: STOPPED, nothing latched.
    """
    return State(Mode.STOPPED, epoch, since_ns=now_ns)


def stop(state: State, trip: Trip) -> Step:
    """Latch a stop, in any mode."""
    return _step(state, Input.STOP, trip)


def observe(state: State, blockers: Sequence[str], now_ns: int) -> Step:
    """Take in a look at heartbeats, gates and conditions.

    Args:
        state: The state so far.
        blockers: What stands against motion, in words; empty when all is well.
        now_ns: CLOCK_MONOTONIC.

    Returns:
        A renewal while permitted and well, a latched trip while permitted and not, else nothing.
    """
    kind = Input.FAULT if blockers else Input.HEALTHY
    return _step(state, kind, _fault(blockers, now_ns))


def press(state: State, by: str, latch: int, *, blockers: Sequence[str], now_ns: int) -> Step:
    """Press reset once.

    Args:
        state: The state so far.
        by: Who presses.
        latch: The number of the newest trip that this person has seen.
        blockers: What stands against motion, in words.
        now_ns: CLOCK_MONOTONIC.

    Returns:
        A grant with the next epoch, or a refusal that says what to do.
    """
    kind = _press_kind(state, latch, blockers, now_ns)
    step = _step(state, kind, _fault(blockers, now_ns), by)
    words = _refusal(kind, blockers) if step.action in (Action.REFUSE, Action.LATCH) else ""
    return replace(step, state=replace(step.state, pressed_ns=now_ns), refusal=words)


def _press_kind(state: State, latch: int, blockers: Sequence[str], now_ns: int) -> Input:
    if state.pressed_ns is not None and now_ns - state.pressed_ns < QUIET_NS:
        return Input.RESET_HELD
    if latch != state.latch:
        return Input.RESET_OUTDATED
    return Input.RESET_BLOCKED if blockers else Input.RESET


def _refusal(kind: Input, blockers: Sequence[str]) -> str:
    if kind is Input.RESET_HELD:
        return f"reset is being held or repeated; let go for {QUIET_NS // 1_000_000} ms, press once"
    if kind is Input.RESET_OUTDATED:
        return "there was another stop since you looked; read the status, then reset again"
    return f"not while: {'; '.join(blockers)}; put that right, then reset again"


def _fault(blockers: Sequence[str], now_ns: int) -> Trip:
    return Trip(blockers[0] if blockers else "", "guardian", now_ns, "; ".join(blockers))


def _step(state: State, kind: Input, trip: Trip, by: str = "") -> Step:
    mode, action = TABLE[state.mode, kind]
    if action is Action.LATCH:
        return Step(_latched(state, mode, trip), action)
    if action is Action.GRANT:
        granted = replace(
            state, mode=mode, epoch=state.epoch + 1, since_ns=trip.at_ns, trips=(), granted_by=by
        )
        return Step(granted, action)
    return Step(state, action)


def _latched(state: State, mode: Mode, trip: Trip) -> State:
    trips = (*state.trips, trip)
    if len(trips) > KEPT_TRIPS:
        trips = (trips[0], *trips[2:])
    since_ns = state.since_ns if state.mode is mode else trip.at_ns
    return replace(state, mode=mode, latch=state.latch + 1, since_ns=since_ns, trips=trips)
