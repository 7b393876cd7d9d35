"""What is known of a trip: the guardian's word, what hosts wrote, if the machine stood still."""

from __future__ import annotations

import json
import time
from typing import Final

from olympus.runtime.config import Session
from olympus.runtime.errors import OlympusError
from olympus.runtime.safety.status import Status
from olympus.sim.campaign.rig import Rig
from olympus.sim.campaign.standstill import Standstill

WRITTEN_NS: Final = 2_000_000_000
"""What hosts write so near to a trip may explain it."""

STILL_MS: Final = 45.0
"""A machine that stood still for so long left the robot less than its rules take for granted: a
lease of 60 ms is renewed every 10, heartbeats that may be silent for 70 come every 20. Measured:
processors kept busy at the highest priority for 46 ms trip nothing, for 50 every third time."""

LEAD_NS: Final = 100_000_000
"""A standstill trips so much later at most."""

_ANSWERED_S = 2.0
_MOST_LINES = 20
_LAST_LINES = 6


def is_latched(rig: Rig, within_s: float = _ANSWERED_S) -> bool | None:
    """Tell whether the guardian has latched a stop; None where none answers."""
    status = status_of(rig, within_s)
    return None if status is None else not status.is_permitted


def status_of(rig: Rig, within_s: float = _ANSWERED_S) -> Status | None:
    """Ask the guardian; a single answer that does not come in time is none that never comes."""
    until = time.monotonic() + within_s
    while (status := rig.status()) is None and time.monotonic() < until:
        time.sleep(0.01)
    return status


def evidence_of(rig: Rig) -> str:
    """Tell all that is known of the trip that is latched: evidence, and what hosts wrote then.

    What can't be told ends nothing.
    """
    try:
        return _evidence(rig)
    except (OlympusError, OSError) as error:
        return f"nothing more is to be had: {error}"


def _evidence(rig: Rig) -> str:
    status = status_of(rig)
    if status is None:
        return "no guardian answers"
    if not status.trips:
        return (
            f"nothing is latched; against motion stands: {'; '.join(status.blockers) or 'nothing'}"
        )
    trip = status.trips[0]
    more = f"; with it: {trip.evidence}" if trip.evidence not in ("", trip.cause) else ""
    still = rig.standstills.between(trip.at_ns - LEAD_NS, trip.at_ns)
    about = [told_still(one) for one in still if one.ms >= STILL_MS][:1]
    # The launcher has no log of its own, but a terminal.
    said = rig.robot.output.splitlines()[-_LAST_LINES:] if "launcher" in trip.cause else []
    about += [f"launcher: {line.strip()}" for line in said]
    return "\n  ".join([trip.cause + more, *about, *written_about(rig.robot.session, trip.at_ns)])


def told_still(still: Standstill) -> str:
    """Say how long the machine stood still."""
    return f"the machine stood still for {still.ms:.0f} ms (processor {still.core})"


def written_about(session: Session, at_ns: int) -> list[str]:
    """Return what hosts wrote within `WRITTEN_NS` of a moment: warnings, and gates that close."""
    offset_ns, found = session.clock_offset_ns, []
    for file in sorted(session.log_dir.glob("*.jsonl")):
        for line in file.read_text(errors="replace").splitlines():
            try:
                entry = json.loads(line)
                stamp_ns, level, text = int(entry["stamp"]), entry["level"], str(entry["text"])
            except (ValueError, LookupError, TypeError):
                continue  # cut off: it is being written, or the disk was full
            is_news = level not in ("debug", "info") or "gate " in text
            if is_news and abs(stamp_ns - offset_ns - at_ns) < WRITTEN_NS:
                found.append(f"{file.stem}: {text}")
    return found[-_MOST_LINES:]
