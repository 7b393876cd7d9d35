"""Long quiet driving, in which any stop is a false one; and how long a person's stop takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from olympus.runtime.safety.status import Status
from olympus.sim.campaign.evidence import told_still
from olympus.sim.campaign.report import percentile
from olympus.sim.campaign.rig import Rig
from olympus.sim.campaign.trial import layer_of
from olympus.sim.campaign.watching import CampaignError, Change, Watching

_CODE = """\
import json, sys, time
began = time.monotonic_ns()
from olympus.runtime.cli.main import hurry
hurry()  # as `olympus stop` does first
from olympus.runtime.cli import safety
ready = time.monotonic_ns()
safety.run(["stop"])
print(json.dumps([began, ready]), file=sys.stderr)
"""
_LOOK_S = 0.5
_SETTLED_S = 1.0
_TOLD_S = 2.0
_NEAR_NS = 100_000_000
_BEFORE_NS = 300_000_000  # the longest that anything watched may be silent, and some more
_NEUTRAL = "motors to neutral: "
_BY_TRIP = "no_lease"  # what the gate says of a trip, which has a cause of its own


@dataclass(frozen=True, slots=True)
class Moment:
    """A time in which the motor was told to stand though nothing was wrong."""

    at_s: float
    """When, seconds after the soak began."""
    lasted_ms: float
    """How long, until it was driven again: by itself, or after a person permitted it."""
    is_trip: bool
    """Whether it was latched; else it went on by itself."""
    by: str
    """Whose frame it was."""
    cause: str
    """The trip's, or what the drive says of it."""

    def __str__(self) -> str:
        """In words."""
        what = "false trip" if self.is_trip else "pause without a trip"
        return (
            f"{what} at {self.at_s:.1f} s, {self.lasted_ms:.0f} ms, "
            f"said by {self.by}: {self.cause or 'nobody says why'}"
        )


def soak(
    rig: Rig,
    seconds: float,
    tell: Callable[[Moment], None] = lambda _: None,
    look: Callable[[float], None] = lambda _: None,
) -> list[Moment]:
    """Drive on; permit again after each false trip.

    Args:
        rig: The rig.
        seconds: How long.
        tell: Is told each moment once it is over.
        look: Is told now and then for how many seconds it has gone on.

    Returns:
        Every time the motor was at neutral meanwhile, and why.
    """
    moments: list[Moment] = []
    watching = rig.observer
    rig.drive()
    watching.catch_up()
    seen, begun = len(watching.changes), time.monotonic()
    while time.monotonic() < begun + seconds:
        watching.happens(partial(_has_more, watching, seen), _LOOK_S)
        look(time.monotonic() - begun)
        change = next((one for one in watching.changes[seen:] if not one.is_driven), None)
        if change is not None:
            # It goes on by itself, or is latched: commands that end trip after 0.3 s.
            watching.happens(partial(watching.driven_after, change.at_ns), _SETTLED_S)
        status = rig.status()
        if change is None and status is not None and status.is_permitted:
            seen = len(watching.changes)
            continue
        moment, last = _explained(rig, status, change, begun)
        moments.append(moment)
        tell(moment)
        seen = len(watching.changes) if last is None else watching.changes.index(last) + 1
    return moments


def _has_more(watching: Watching, seen: int) -> bool:
    return len(watching.changes) > seen


def _explained(
    rig: Rig, status: Status | None, change: Change | None, begun: float
) -> tuple[Moment, Change | None]:
    """Drive on; return what happened, and the change that ended it."""
    watching = rig.observer
    is_trip = status is None or not status.is_permitted
    at_ns = change.at_ns if change is not None else time.monotonic_ns()
    told = _told(rig, at_ns)
    cause = told
    if is_trip:
        cause = status.cause if status is not None else "no guardian answers"
        cause = f"{cause} ({told})" if told else cause
    if still := rig.standstills.between(at_ns - _BEFORE_NS, at_ns):
        cause = f"{cause}; before it {told_still(still[0])}"
    if is_trip or not watching.is_driven:
        rig.drive()
        watching.catch_up()
    after = watching.driven_after(at_ns)
    lasted_ms = (after.at_ns - at_ns) / 1e6 if after is not None else 0.0
    by = layer_of(change.seq) if change is not None else "nobody"
    return Moment(at_ns / 1e9 - begun, lasted_ms, is_trip, by, cause), after


def _told(rig: Rig, at_ns: int) -> str:
    """Return what the drive wrote of motors that went to neutral at about that time."""
    until = time.monotonic() + _TOLD_S
    while time.monotonic() < until:
        for text, when_ns in _neutral_lines(rig):
            if abs(when_ns - at_ns) < _NEAR_NS:
                return text
        time.sleep(0.1)
    return ""


def _neutral_lines(rig: Rig) -> Iterator[tuple[str, int]]:
    """Yield what the drive's log says of motors that went to neutral, and when; newest first."""
    session = rig.robot.session
    lines = (session.log_dir / "drive.jsonl").read_text(errors="replace").splitlines()
    for line in reversed(lines):
        if _NEUTRAL not in line or _BY_TRIP in line or not line.endswith("}"):
            continue  # another matter, or cut off
        entry = json.loads(line)
        at_ns = entry.get("fields", {}).get("at_ns", entry["stamp"] - session.clock_offset_ns)
        yield str(entry["text"].removeprefix(_NEUTRAL)), int(at_ns)


def measure_stops(rig: Rig, count: int) -> list[tuple[float, float]]:
    """Stop from a process of its own, as a second terminal does, and time it.

    Args:
        rig: The rig.
        count: How many times.

    Returns:
        Of each stop the ms that starting Python and importing took, and those from the call to the
        neutral motor command.

    Raises:
        CampaignError: A stop did not stop.
    """
    found = []
    path = os.pathsep.join(sys.path)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(rig.root), "PYTHONPATH": path}
    for _ in range(count):
        rig.drive()
        began_ns = time.monotonic_ns()
        done = subprocess.run(
            [sys.executable, "-S", "-c", _CODE],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if not done.stderr.strip():
            raise CampaignError("olympus stop told nothing")
        ready_ns = json.loads(done.stderr.splitlines()[-1])[1]
        found.append(((ready_ns - began_ns) / 1e6, neutral_ms(rig, began_ns, ready_ns)))
    return found


def neutral_ms(rig: Rig, began_ns: int, asked_ns: int) -> float:
    """Return the ms from a stop to the neutral motor command.

    Args:
        rig: The rig.
        began_ns: Before the stop; what came earlier does not count.
        asked_ns: When the stop was asked for.

    Raises:
        CampaignError: The motor is not neutral.
    """
    rig.observer.happens(lambda: rig.observer.neutral_after(began_ns), 2.0)
    change = rig.observer.neutral_after(began_ns)
    if change is None:
        raise CampaignError(f"the stop did not stop: {rig.status()}")
    return (change.at_ns - asked_ns) / 1e6


def told(times: list[float]) -> str:
    """Return p50, p99, worst and how many, in words."""
    p50, p99, worst = (percentile(times, share) for share in (0.5, 0.99, 1.0))
    return f"p50 {p50:.1f}, p99 {p99:.1f}, worst {worst:.1f} ms, n={len(times)}"
