"""The gate: the last code before an actuator. No valid lease, no motion.

`decide` is a pure function; `Gate` runs it in the thread that owns the actuator, e.g. at 50 Hz.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from olympus.runtime.errors import OlympusError
from olympus.runtime.safety.acks import AckWriter, Flag, Reason
from olympus.runtime.safety.lease import LeaseReader, LeaseView
from olympus.runtime.safety.limits import Category, Rules, Steep
from olympus.runtime.safety.sleep import SleepWatch

AHEAD_NS: Final = 5_000_000
"""A command stamped further in the future than this is refused."""

LONGEST_TICK_NS: Final = 100_000_000
"""After a longer pause an output still moves only as far as in this time."""

_NEAR: Final = 1e-9
_PROVE_EVERY_S: Final = 0.01
_UNSEEN: Final = LeaseView(
    False,
    "nobody can see this gate: its file can't be written, or another gate took its name",
)

Sense = Callable[[int], bool | None]
"""Asked whether the actuator stands, as measured after a time in ns; None when not known."""


@dataclass(frozen=True, slots=True)
class Command:
    """What an actuator is asked to do."""

    channels: tuple[float, ...]
    """One value per channel, in the unit of its limits."""
    stamp_ns: int
    """When it was decided, CLOCK_MONOTONIC (robot time minus the session's clock offset)."""


@dataclass(frozen=True, slots=True)
class GateState:
    """What a gate remembers from tick to tick."""

    output: tuple[float, ...]
    """The newest output."""
    tick_ns: int | None = None
    """When that was, CLOCK_MONOTONIC."""
    epoch: int = 0
    """The permission acted on; 0 for none."""
    burned: int = 0
    """The newest permission seen to end; this and older ones never count again."""


@dataclass(frozen=True, slots=True)
class Applied:
    """What a tick gave to the actuator, and why."""

    channels: tuple[float, ...]
    """The output, within the limits."""
    reason: Reason
    """OK, or why the output goes to neutral; a caller clears its integrators unless it is OK."""
    detail: str = ""
    """The reason in words."""
    is_limited: bool = False
    """Whether the slew limit held the output back from the command."""
    epoch: int = 0
    """The permission acted on; 0 for none."""


def start(rules: Rules) -> GateState:
    """Begin at neutral, with no permission."""
    return GateState(rules.neutral)


def decide(
    lease: LeaseView, command: Command | None, state: GateState, rules: Rules, now_ns: int
) -> tuple[Applied, GateState]:
    """Decide one tick's output.

    Args:
        lease: The lease as just read.
        command: The newest command, or None.
        state: What was remembered from the last tick.
        rules: The limits and the stop category.
        now_ns: CLOCK_MONOTONIC.

    Returns:
        The output and the new memory. Unless everything is in order the output is neutral at once
        (category 0) or a brake ramp to neutral (category 1).
    """
    elapsed_s = _elapsed_s(state, now_ns)
    reason, detail, state = _permission(lease, state, rules)
    if reason is Reason.OK:
        reason, detail = _objection(command, lease, rules, now_ns)
    limited = False
    output = _halt(state, rules, now_ns)
    if reason is Reason.OK and command is not None:
        moved = rules.approach(state.output, command.channels, elapsed_s)
        limited = any(abs(a - b) > _NEAR for a, b in zip(moved, command.channels, strict=True))
        if limited and rules.steep is Steep.REFUSE:
            reason, detail, limited = (
                Reason.TOO_STEEP,
                f"{command.channels} from {state.output}",
                False,
            )
        else:
            output = moved
    state = replace(state, output=output, tick_ns=now_ns)
    return Applied(output, reason, detail, limited, state.epoch), state


def _elapsed_s(state: GateState, now_ns: int) -> float:
    if state.tick_ns is None:
        return 0.0
    return min(max(now_ns - state.tick_ns, 0), LONGEST_TICK_NS) / 1e9


def _halt(state: GateState, rules: Rules, now_ns: int) -> tuple[float, ...]:
    if rules.category is Category.CUT or state.tick_ns is None:
        return rules.neutral
    # A brake that is seldom ticked ends no later than others: all of the time counts here.
    elapsed_s = max(now_ns - state.tick_ns, 0) / 1e9
    return rules.approach(state.output, rules.neutral, elapsed_s)


def _permission(lease: LeaseView, state: GateState, rules: Rules) -> tuple[Reason, str, GateState]:
    if not lease.valid:
        return Reason.NO_LEASE, lease.why, _burn(state)
    if lease.epoch <= state.burned:
        return Reason.LAPSED, f"permission {lease.epoch} has ended here; reset again", state
    if lease.epoch < state.epoch:
        return Reason.LAPSED, f"permission {lease.epoch} is older than {state.epoch}", _burn(state)
    if lease.epoch == state.epoch:
        return Reason.OK, "", state
    state = _burn(state)
    if state.output == rules.neutral:
        state = replace(state, epoch=lease.epoch)
    return Reason.NEW_PERMISSION, f"permission {lease.epoch} begins at neutral", state


def _burn(state: GateState) -> GateState:
    return replace(state, epoch=0, burned=max(state.burned, state.epoch))


def _objection(
    command: Command | None, lease: LeaseView, rules: Rules, now_ns: int
) -> tuple[Reason, str]:
    if command is None:
        return Reason.NO_COMMAND, "nothing was commanded"
    age_ns = now_ns - command.stamp_ns
    if age_ns < -AHEAD_NS:
        return Reason.FUTURE, f"stamped {-age_ns / 1e6:.1f} ms in the future"
    if command.stamp_ns < lease.granted_ns:
        return Reason.BEFORE_PERMISSION, f"made before permission {lease.epoch} was given"
    if age_ns > rules.max_age_ns:
        return Reason.STALE, f"{age_ns / 1e6:.1f} ms old, allowed are {rules.max_age_ns / 1e6:.1f}"
    return _value_objection(command.channels, rules)


def _value_objection(channels: tuple[float, ...], rules: Rules) -> tuple[Reason, str]:
    if len(channels) != len(rules.limits):
        return Reason.WRONG_SHAPE, f"{len(channels)} channels, expected {len(rules.limits)}"
    for index, (value, limits) in enumerate(zip(channels, rules.limits, strict=True)):
        if not _is_finite(value):
            return Reason.NOT_FINITE, f"channel {index} is {value}"
        if not limits.low <= value <= limits.high:
            return (
                Reason.OUT_OF_RANGE,
                f"channel {index} is {value:g}, allowed are {limits.low:g}..{limits.high:g}",
            )
    return Reason.OK, ""


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except (TypeError, OverflowError):
        return False


class Gate:
    """Stands between commands and one actuator; owned and ticked by the actuator's thread."""

    def __init__(
        self,
        directory: Path,
        name: str,
        rules: Rules,
        *,
        apply: Callable[[tuple[float, ...]], None],
        sense: Sense | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,
        sleep: SleepWatch | None = None,
    ) -> None:
        """Put a gate before an actuator.

        Args:
            directory: The safety directory.
            name: Its name in status and read-back; letters, digits, `_`, `.`, `-`.
            rules: Limits per channel, stop category, age budget.
            apply: Hands an output to the actuator; the gate alone may call it.
            sense: Measures whether the actuator stands; asked while the output is neutral.
            now_ns: CLOCK_MONOTONIC; tests hand in another.
            sleep: Notices that the computer slept; None for the usual one.

        Raises:
            SafetyError: The name does not fit, or there is a gate of this name already.
        """
        self._rules = rules
        self._apply = apply
        self._sense = sense
        self._neutral_since_ns: int | None = None
        self._now_ns = now_ns
        self._sleep = sleep or SleepWatch()
        self._lease = LeaseReader(directory)
        self._acks = AckWriter(directory, name)
        self._state = start(rules)
        self.counts: Counter[Reason] = Counter()
        """Ticks per reason."""
        self.unwritten = 0
        """Acknowledgements that nobody can see."""
        self._is_seen = True

    def is_due(self) -> bool:
        """Whether a tick is due before its time, since the lease it acted on is no longer valid."""
        return bool(self._state.epoch) and not self._look(self._now_ns()).valid

    def tick(self, command: Command | None) -> Applied:
        """Decide, hand the output to the actuator, and acknowledge.

        Args:
            command: The newest command; the same one may be given again until it is stale.

        Returns:
            What was really applied, and why. An error of `apply` passes through after it was
            acknowledged as not neutral.
        """
        now_ns = self._now_ns()
        lease = self._look(now_ns)
        if self._sleep.look():  # by the clock of leases no time has passed
            self._state = _burn(self._state)
        before = self._state
        applied, self._state = decide(lease, command, before, self._rules, now_ns)
        if self._state.epoch and self._now_ns() >= lease.valid_until_ns:
            # Frozen between the look and the act, and thawed now: look again.
            lease = self._look(now_ns := self._now_ns())
            applied, self._state = decide(lease, command, before, self._rules, now_ns)
        self.counts[applied.reason] += 1
        self._deliver(applied, now_ns, Flag(0))
        return applied

    def close(self, why: str = "", *, prove_s: float = 0.0) -> None:
        """Apply neutral, acknowledge that the gate is closed, and let go of the files.

        Args:
            why: In words; part of the cause where that trips.
            prove_s: How long to wait at most, after that, for a measurement that the actuator
                stands: a stop that comes later is then confirmed though there is no gate any more.
        """
        self._state = replace(_burn(self._state), output=self._rules.neutral)
        try:
            closing, tick_ns = Applied(self._rules.neutral, Reason.CLOSED, why), self._now_ns()
            self._deliver(closing, tick_ns, Flag.CLOSED)
            self._prove(closing, tick_ns, prove_s)
        finally:
            self._acks.close()
            self._lease.close()

    def _look(self, now_ns: int) -> LeaseView:
        """Look at the lease; a gate that nobody can see has none, whatever is permitted."""
        return self._lease.check(now_ns) if self._is_seen else _UNSEEN

    def _deliver(self, applied: Applied, tick_ns: int, flags: Flag) -> None:
        taken, why = False, applied.detail
        try:
            self._apply(applied.channels)
            taken = applied.channels == self._rules.neutral
        except BaseException as error:
            flags |= Flag.REFUSED
            why = str(error) or type(error).__name__
            raise
        finally:
            if taken:
                flags |= Flag.NEUTRAL | self._sensed(tick_ns)
            else:
                self._neutral_since_ns = None
            self._acknowledge(applied.reason, tick_ns, flags, why)

    def _prove(self, closing: Applied, tick_ns: int, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._sense is not None and time.monotonic() < until:
            flags = Flag.CLOSED | Flag.NEUTRAL | self._sensed(tick_ns)
            if Flag.STILL in flags:
                self._acknowledge(closing.reason, tick_ns, flags, closing.detail)
                return
            time.sleep(_PROVE_EVERY_S)

    def _sensed(self, tick_ns: int) -> Flag:
        if self._sense is None:
            return Flag(0)
        if self._neutral_since_ns is None:
            self._neutral_since_ns = tick_ns
        try:
            is_still = self._sense(self._neutral_since_ns)
        except OlympusError:
            is_still = None
        if is_still is None:
            return Flag.WATCHED
        return Flag.WATCHED | Flag.SENSED | (Flag.STILL if is_still else Flag(0))

    def _acknowledge(self, reason: Reason, tick_ns: int, flags: Flag, why: str) -> None:
        state = self._state
        self._is_seen = self._acks.write(
            tick_ns, epoch=state.epoch, burned=state.burned, reason=reason, flags=flags, why=why
        )
        if not self._is_seen:
            self.unwritten += 1
