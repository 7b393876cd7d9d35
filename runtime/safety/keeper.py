"""The keeper: holds the stop state, looks at everything watched, and writes the lease."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

from olympus.runtime.safety import state as stop_state
from olympus.runtime.safety.acks import Ack, AckBoard, Flag
from olympus.runtime.safety.backstop import LIVE_NS, Outlook, Permission, look_out
from olympus.runtime.safety.events import EventLog
from olympus.runtime.safety.feeders import Feeders
from olympus.runtime.safety.heartbeat import HeartbeatBoard
from olympus.runtime.safety.lease import LARGEST_EPOCH, LeaseWriter
from olympus.runtime.safety.neutral_line import NeutralLines
from olympus.runtime.safety.processes import ProcessWatch, idle
from olympus.runtime.safety.protocol import ConditionReport
from olympus.runtime.safety.settings import Settings
from olympus.runtime.safety.sleep import SleepWatch
from olympus.runtime.safety.state import Action, Authority, Mode, State, Step, Trip
from olympus.runtime.safety.stopinput import StopButton
from olympus.runtime.safety.stopline import StopLine
from olympus.runtime.safety.telling import (
    silence,
    told_gate,
    told_trip,
    told_watch,
    with_why,
)
from olympus.runtime.safety.vouched import Conditions

_MS: Final = 1_000_000
_LOOK_EVERY: Final = 100


class Keeper:
    """Everything the guardian decides, without its socket and its loop."""

    def __init__(
        self,
        settings: Settings,
        *,
        now_ns: Callable[[], int] = time.monotonic_ns,
        backstops: Feeders | None = None,
        button: StopButton | None = None,
        sleep: SleepWatch | None = None,
    ) -> None:
        """Lay out the shared memory and begin stopped.

        Args:
            settings: The configuration; its directory exists and is locked.
            now_ns: CLOCK_MONOTONIC; tests hand in another.
            backstops: Fed at every tick; None for none.
            button: The stop input, read at every tick; None for none.
            sleep: Notices that the computer slept; None for the usual one.
        """
        directory = settings.dir
        self._settings = settings
        self._now_ns = now_ns
        self._backstops = Feeders({}) if backstops is None else backstops
        self._button = button
        self._sleep = sleep or SleepWatch()
        self._lease = LeaseWriter(directory)
        self._beats = HeartbeatBoard(directory, tuple(settings.watch))
        self._gates = AckBoard(directory, settings.gates)
        self._processes = ProcessWatch()
        self._neutral = NeutralLines(directory)
        self._line = StopLine(directory)
        self._log = EventLog(directory)
        self._conditions = Conditions(settings.conditions)
        self._looks = 0
        self._granted = 0
        self.counters: Counter[str] = Counter()
        """Trips, refused resets, and what else is counted."""
        epoch = self._newest_epoch()
        self.state: State = stop_state.boot(epoch, now_ns(), self._lease.earlier_kill())
        """The stop state."""
        self._lease.revoke(epoch, self.state.mode)
        self.note("boot")

    def tick(self) -> None:
        """Look at everything once; renew the lease, or trip."""
        if self._looks % _LOOK_EVERY == 0:
            self._look()
        self._looks += 1
        now_ns = self._now_ns()
        pulled = self._line.look(now_ns)
        if pulled is not None:
            self._act(stop_state.stop(self.state, pulled), now_ns)
        self.read_button()
        blockers = (*self._slept(), *self.blockers(now_ns))
        self._act(stop_state.observe(self.state, blockers, now_ns), now_ns)
        self._backstops.feed(self.outlook(now_ns))
        if self.state.mode is not Mode.PERMITTED:
            acks = self._gates.read()
            self._neutral.tend(acks, since_ns=self.state.since_ns, now_ns=self._now_ns())

    def read_button(self) -> None:
        """Read the stop input; a press stops at once."""
        now_ns = self._now_ns()
        pressed = self._button.look(now_ns) if self._button is not None else None
        if pressed is not None:
            self._act(stop_state.stop(self.state, pressed), now_ns)

    def stop(self, cause: str, by: str, evidence: str = "", *, is_kill: bool = False) -> Trip:
        """Stop and latch; nothing can refuse it.

        Args:
            cause: Why, in words.
            by: Who asks.
            evidence: What was measured, if anything.
            is_kill: Whether only the console or the board may lift it.

        Returns:
            The trip, whose time is from before the lease was taken back.
        """
        now_ns = self._now_ns()
        trip = Trip(cause, by, now_ns, evidence, is_kill)
        self._act(stop_state.stop(self.state, trip), now_ns)
        return trip

    def reset(self, by: str, latch: int, authority: Authority = Authority.OPERATOR) -> str:
        """Press reset once.

        Args:
            by: Who presses.
            latch: The newest trip that the presser has seen.
            authority: How near to the machine; a kill is lifted at the console or the board only.

        Returns:
            Empty when motion is permitted now, else why it is not.
        """
        self._look()  # nothing moves by a gate or a port that is not known yet
        if self.state.mode is not Mode.PERMITTED:
            # A gate takes no permission that is older than one it has seen end.
            newest = max(self.state.epoch, self._epoch_of_gates())
            self.state = replace(self.state, epoch=newest)
        now_ns = self._now_ns()
        step = stop_state.press(
            self.state,
            by,
            latch,
            blockers=self.blockers(now_ns),
            now_ns=now_ns,
            authority=authority,
        )
        was_stuck = self.state.is_reset_stuck(now_ns)
        self._act(step, now_ns)
        if self.state.is_reset_stuck(now_ns) and not was_stuck:
            self.counters["stuck_resets"] += 1
            self.note("reset stuck", by=by)
        if step.refusal:
            self.counters["refused_resets"] += 1
            self.note("reset refused", by=by, why=step.refusal)
        return step.refusal

    def report(self, condition: ConditionReport) -> str:
        """Take in a condition; one that turned bad trips at the next tick.

        Args:
            condition: What was reported.

        Returns:
            Empty, or why it is not kept.
        """
        return self._conditions.take(condition, self._now_ns())

    def blockers(self, now_ns: int) -> tuple[str, ...]:
        """Say in words what stands against motion; empty when all is well."""
        return (
            *self._lapse(now_ns),
            *self._silent_heartbeats(now_ns),
            *self._bad_gates(now_ns),
            *self._idle_processes(now_ns),  # nearer to the root than what others vouch for
            *self._conditions.problems(now_ns),
            *self._backstops.problems(),
            *self._pressed(),
            *filter(None, (self._line.problem(),)),
        )

    def outlook(self, now_ns: int) -> Outlook:
        """Say what the backstops need to know at this tick."""
        state = self.state
        needed = tuple(self._settings.gates)
        permission = Permission(state.epoch, state.mode is Mode.PERMITTED, self._granted)
        return look_out(self._gates.read(), needed, permission, now_ns)

    def gate_names(self) -> tuple[str, ...]:
        """The gates known so far."""
        self._gates.look()
        return self._gates.names()

    def status(self) -> dict[str, object]:
        """Tell everything a person or a page wants to know, ready for JSON."""
        now_ns = self._now_ns()
        state, first = self.state, self.state.trips[:1]
        self.counters["lost_events"] = self._log.lost
        self.counters["heartbeat_repairs"] = self._beats.repairs
        self.counters["neutral_lines"] = self._neutral.written
        self.counters["unlisted"] = self._gates.unlisted + self._neutral.unlisted
        return {
            "state": state.mode,
            "cause": first[0].cause if first else "",
            "by": first[0].by if first else state.granted_by,
            "since_ns": state.since_ns,
            "now_ns": now_ns,
            "epoch": state.epoch,
            "latch": state.latch,
            "trips": [told_trip(trip) for trip in state.trips],
            "heartbeats": self._told_heartbeats(now_ns),
            "gates": self._told_gates(now_ns),
            "is_reset_stuck": state.is_reset_stuck(now_ns),
            "troubles": [f"neutral line {n}: {why}" for n, why in self._neutral.troubles.items()],
            "conditions": self._conditions.told(now_ns),
            "backstops": self._backstops.told(),
            "estop": None if self._button is None else self._button.told(),
            "blockers": list(self.blockers(now_ns)),
            "counters": dict(self.counters),
        }

    def note(self, event: str, **details: object) -> None:
        """Write down an event; never waits."""
        now_ns, state = self._now_ns(), self.state
        stamp_ns = now_ns + self._settings.clock_offset_ns
        about = {"event": event, "written_ns": now_ns, "stamp_ns": stamp_ns, "state": state.mode}
        self._log.add(about | {"epoch": state.epoch, "latch": state.latch} | details)

    def close(self) -> None:
        """Take the lease back and close everything."""
        self._lease.revoke(self.state.epoch, self.state.mode)
        self._backstops.close(is_neutral=self.outlook(self._now_ns()).is_neutral)
        if self._button is not None:
            self._button.close()
        self.note("end")
        self._log.close()
        for one in (
            self._lease,
            self._beats,
            self._gates,
            self._line,
            self._processes,
            self._neutral,
        ):
            one.close()

    def _look(self) -> None:
        """Find gates and ports that have come; a port is announced after its gate was made."""
        self._neutral.look()
        self._gates.look()

    def _newest_epoch(self) -> int:
        self._gates.look()
        return max(self._lease.earlier_epoch(self._now_ns()), self._epoch_of_gates())

    def _epoch_of_gates(self) -> int:
        seen = (max(ack.epoch, ack.burned) for ack in self._gates.read().values())
        return max((epoch for epoch in seen if epoch <= LARGEST_EPOCH), default=0)

    def _act(self, step: Step, now_ns: int) -> None:
        self.state = step.state
        until_ns = now_ns + self._settings.lease_ms * _MS
        if step.action is Action.LATCH:
            self._lease.revoke(step.state.epoch, step.state.mode)
            self.counters["trips"] += 1
            self.note("trip", **told_trip(step.state.trips[-1]))
        elif step.action is Action.GRANT:
            self._lease.grant(step.state.epoch, now_ns, until_ns)
            self._granted = step.state.epoch
            self.note("permit", by=step.state.granted_by)
        elif step.action is Action.RENEW:
            self._lease.renew(step.state.epoch, until_ns)

    def _pressed(self) -> Iterator[str]:
        if self._button is not None and (problem := self._button.problem()):
            yield problem

    def _lapse(self, now_ns: int) -> Iterator[str]:
        if self.state.mode is Mode.PERMITTED and now_ns >= self._lease.valid_until_ns:
            late_ms = (now_ns - self._lease.valid_until_ns) / _MS
            yield f"guardian: {late_ms:.1f} ms too late to renew the lease"

    def _slept(self) -> Iterator[str]:
        if slept_ns := self._sleep.look():
            yield f"guardian: this computer was asleep for {slept_ns / 1e9:.1f} s"

    def _silent_heartbeats(self, now_ns: int) -> Iterator[str]:
        beats = self._beats.read()
        now_ns = max(now_ns, self._now_ns())  # no beat just read is from the future
        for name, limit_s in self._settings.watch.items():
            beat = beats.get(name)
            problem = silence(beat.last_ns if beat else None, limit_s, now_ns)
            if problem:
                yield f"heartbeat {name}: {problem}"

    def _idle_processes(self, now_ns: int) -> Iterator[str]:
        beats = self._beats.read()
        pids = [(f"heartbeat {name}", beat.pid) for name, beat in beats.items()]
        for name, ack in self._gates.read().items():
            is_concerned = name in self._settings.gates or now_ns - ack.tick_ns < LIVE_NS
            if is_concerned and Flag.CLOSED not in ack.flags:
                pids.append((f"gate {name}", ack.pid))
        self._processes.keep(pid for _, pid in pids)
        yield from idle(pids, self._processes)

    def _bad_gates(self, now_ns: int) -> Iterator[str]:
        acks = self._gates.read()
        now_ns = max(now_ns, self._now_ns())
        for name, limit_s in self._settings.gates.items():
            ack = acks.get(name)
            problem = silence(ack.tick_ns if ack else None, limit_s, now_ns)
            if problem or (ack and Flag.CLOSED in ack.flags):
                yield f"gate {name}: {problem or with_why('closed', ack)}"
        for name, ack in acks.items():
            problem = self._gate_problem(name, ack, now_ns)
            if problem:
                yield f"gate {name}: {problem}"

    def _gate_problem(self, name: str, ack: Ack, now_ns: int) -> str:
        is_concerned = name in self._settings.gates or now_ns - ack.tick_ns < LIVE_NS
        if not is_concerned:
            return ""
        if self.state.mode is Mode.PERMITTED:
            if Flag.REFUSED in ack.flags:
                return with_why("its actuator does not take what it is given", ack)
            has_lapsed = ack.burned >= self.state.epoch
            return with_why("saw the lease lapse", ack) if has_lapsed else ""
        return "" if ack.is_neutral else "not at neutral"

    def _told_heartbeats(self, now_ns: int) -> list[dict[str, object]]:
        beats = self._beats.read()
        return [
            told_watch(name, beats[name].last_ns if name in beats else None, limit_s, now_ns)
            for name, limit_s in self._settings.watch.items()
        ]

    def _told_gates(self, now_ns: int) -> list[dict[str, object]]:
        self._gates.look()
        acks, limits = self._gates.read(), self._settings.gates
        return [
            told_gate(name, acks.get(name), limits.get(name), now_ns)
            for name in self._gates.names()
        ]
