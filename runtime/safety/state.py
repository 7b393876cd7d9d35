"""The stop state as pure functions over one frozen table.

Source: modelled on the function block SF_EmergencyStop of PLCopen TC5 "Safety Software", part 1:
output off at start, a reset is a rising edge, and one that is already held has no effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, IntEnum, StrEnum
from types import MappingProxyType
from typing import Final

QUIET_NS: Final = 200_000_000
"""Presses of reset that follow each other faster than this are one held button, not new acts."""

STUCK_NS: Final = 2_000_000_000
"""A reset held for so long is an error: a button that sticks, or a program that insists."""

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
    KILLED = "KILLED"
    """A kill was asked for; it holds until a reset at the console or the board."""


class Authority(IntEnum):
    """How near to the machine somebody acts."""

    OPERATOR = 1
    """Somewhere with a page or a program."""
    CONSOLE = 2
    """At a terminal of this computer, or at a switch of the board."""


class Input(Enum):
    """Everything that can happen to the state."""

    STOP = "stop"
    """Somebody asked for a stop."""
    KILL = "kill"
    """Somebody asked for a stop that only the console or the board may lift."""
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
    RESET_STUCK = "reset stuck"
    """A press that has been held for so long that it is an error."""
    RESET_FAR = "reset far"
    """A press after a kill by someone who is not at the console or the board."""


class Action(Enum):
    """What the guardian must do after an input."""

    NOTHING = "nothing"
    RENEW = "renew"
    LATCH = "latch"
    GRANT = "grant"
    REFUSE = "refuse"


_S, _P, _T, _K = Mode.STOPPED, Mode.PERMITTED, Mode.TRIPPED, Mode.KILLED

TABLE: Final[Mapping[tuple[Mode, Input], tuple[Mode, Action]]] = MappingProxyType(
    {
        (_S, Input.STOP): (_T, Action.LATCH),
        (_S, Input.KILL): (_K, Action.LATCH),
        (_S, Input.HEALTHY): (_S, Action.NOTHING),
        (_S, Input.FAULT): (_S, Action.NOTHING),
        (_S, Input.RESET): (_P, Action.GRANT),
        (_S, Input.RESET_BLOCKED): (_S, Action.REFUSE),
        (_S, Input.RESET_HELD): (_S, Action.REFUSE),
        (_S, Input.RESET_OUTDATED): (_S, Action.REFUSE),
        (_S, Input.RESET_STUCK): (_S, Action.REFUSE),
        (_S, Input.RESET_FAR): (_S, Action.REFUSE),
        (_P, Input.STOP): (_T, Action.LATCH),
        (_P, Input.KILL): (_K, Action.LATCH),
        (_P, Input.HEALTHY): (_P, Action.RENEW),
        (_P, Input.FAULT): (_T, Action.LATCH),
        (_P, Input.RESET): (_P, Action.NOTHING),
        (_P, Input.RESET_BLOCKED): (_T, Action.LATCH),
        (_P, Input.RESET_HELD): (_P, Action.REFUSE),
        (_P, Input.RESET_OUTDATED): (_P, Action.REFUSE),
        (_P, Input.RESET_STUCK): (_P, Action.REFUSE),
        (_P, Input.RESET_FAR): (_P, Action.REFUSE),
        (_T, Input.STOP): (_T, Action.LATCH),
        (_T, Input.KILL): (_K, Action.LATCH),
        (_T, Input.HEALTHY): (_T, Action.NOTHING),
        (_T, Input.FAULT): (_T, Action.NOTHING),
        (_T, Input.RESET): (_P, Action.GRANT),
        (_T, Input.RESET_BLOCKED): (_T, Action.REFUSE),
        (_T, Input.RESET_HELD): (_T, Action.REFUSE),
        (_T, Input.RESET_OUTDATED): (_T, Action.REFUSE),
        (_T, Input.RESET_STUCK): (_T, Action.REFUSE),
        (_T, Input.RESET_FAR): (_T, Action.REFUSE),
        (_K, Input.STOP): (_K, Action.LATCH),
        (_K, Input.KILL): (_K, Action.LATCH),
        (_K, Input.HEALTHY): (_K, Action.NOTHING),
        (_K, Input.FAULT): (_K, Action.NOTHING),
        (_K, Input.RESET): (_P, Action.GRANT),
        (_K, Input.RESET_BLOCKED): (_K, Action.REFUSE),
        (_K, Input.RESET_HELD): (_K, Action.REFUSE),
        (_K, Input.RESET_OUTDATED): (_K, Action.REFUSE),
        (_K, Input.RESET_STUCK): (_K, Action.REFUSE),
        (_K, Input.RESET_FAR): (_K, Action.REFUSE),
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
    is_kill: bool = False
    """Whether only the console or the board may lift it."""


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
    held_since_ns: int | None = None
    """When the press began that is still held, as far as is known."""

    def is_reset_stuck(self, now_ns: int) -> bool:
        """Whether reset has been held for too long and has not been let go yet."""
        if self.pressed_ns is None or self.held_since_ns is None:
            return False
        is_held = now_ns - self.pressed_ns < QUIET_NS
        return is_held and self.pressed_ns - self.held_since_ns >= STUCK_NS


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the state: where it leads, what is to be done, and why it was refused."""

    state: State
    action: Action
    refusal: str = ""
    """Empty, or why a reset had no effect, with the way out."""


def boot(epoch: int, now_ns: int, earlier_kill: str = "") -> State:
    """Begin stopped.

    Args:
        epoch: The newest epoch that any earlier guardian may have granted; 0 when there was none.
        now_ns: CLOCK_MONOTONIC.
        earlier_kill: Why a kill that nobody has lifted is to be assumed; empty = none.

    Returns:
        The state at start: STOPPED, nothing latched; or the kill, which outlives its guardian.
    """
    begun = State(Mode.STOPPED, epoch, since_ns=now_ns)
    if not earlier_kill:
        return begun
    kill = Trip("kill", "an earlier guardian", now_ns, earlier_kill, is_kill=True)
    return stop(begun, kill).state


def stop(state: State, trip: Trip) -> Step:
    """Latch a stop, in any mode."""
    return _step(state, Input.KILL if trip.is_kill else Input.STOP, trip)


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


def press(
    state: State,
    by: str,
    latch: int,
    *,
    blockers: Sequence[str],
    now_ns: int,
    authority: Authority = Authority.OPERATOR,
) -> Step:
    """Press reset once.

    Args:
        state: The state so far.
        by: Who presses.
        latch: The number of the newest trip that this person has seen.
        blockers: What stands against motion, in words.
        now_ns: CLOCK_MONOTONIC.
        authority: How near to the machine.

    Returns:
        A grant with the next epoch, or a refusal that says what to do.
    """
    held_since_ns = _held_since_ns(state, now_ns)
    kind = _press_kind(state, latch, blockers, now_ns, authority=authority)
    step = _step(state, kind, _fault(blockers, now_ns), by)
    words = _refusal(kind, blockers) if step.action in (Action.REFUSE, Action.LATCH) else ""
    after = replace(step.state, pressed_ns=now_ns, held_since_ns=held_since_ns)
    return replace(step, state=after, refusal=words)


def _held_since_ns(state: State, now_ns: int) -> int:
    is_held = state.pressed_ns is not None and now_ns - state.pressed_ns < QUIET_NS
    return state.held_since_ns if is_held and state.held_since_ns is not None else now_ns


def _press_kind(
    state: State, latch: int, blockers: Sequence[str], now_ns: int, *, authority: Authority
) -> Input:
    if state.pressed_ns is not None and now_ns - state.pressed_ns < QUIET_NS:
        is_stuck = now_ns - _held_since_ns(state, now_ns) >= STUCK_NS
        return Input.RESET_STUCK if is_stuck else Input.RESET_HELD
    if state.mode is Mode.KILLED and authority < Authority.CONSOLE:
        return Input.RESET_FAR
    if latch != state.latch:
        return Input.RESET_OUTDATED
    return Input.RESET_BLOCKED if blockers else Input.RESET


def _refusal(kind: Input, blockers: Sequence[str]) -> str:
    if kind is Input.RESET_HELD:
        return f"reset is being held or repeated; let go for {QUIET_NS // 1_000_000} ms, press once"
    if kind is Input.RESET_STUCK:
        return "reset is stuck: look at the button, or the program that presses; then press once"
    if kind is Input.RESET_FAR:
        return "it was killed; only `olympus reset` at a terminal, or the board, lifts that"
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
