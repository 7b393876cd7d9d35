"""One trial: let it drive, hurt it at a random moment, time it, and see that nothing goes on."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from olympus.drivers.serial_protocol import SEQ_RANGE
from olympus.runtime.config import Session
from olympus.sim.campaign.faults import HOLD_S, Fault
from olympus.sim.campaign.rig import Rig
from olympus.sim.campaign.watching import CampaignError, Change, WrongAnswerError

FAIL_MS: Final = 1000.0
"""A motor that is not neutral by then is a failure."""

WRITTEN_NS: Final = 2_000_000_000
"""What hosts write so near to a false trip may explain it."""

_GIVE_UP_S = 2.0
_MOST_LINES = 20
_REST_S = 0.2
_ATTEMPTS = 5
_TAKEN_NS = 100_000_000  # by then a trip has reached the motor
_LOOK_NS = 5_000_000  # a trip bears the time at which the look began that found the fault
_LAYERS = {SEQ_RANGE - 1: "guardian's hand", SEQ_RANGE - 2: "drive's hand"}


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one trial."""

    fault: str
    index: int
    seed: int
    verdict: str = ""
    """`ok`, or what went wrong."""
    ms: float | None = None
    """From the fault to the neutral motor command; None where motion goes on by design."""
    layer: str = ""
    """Who said neutral: `gate`, `guardian's hand`, `drive's hand`; `trip only` where the motor
    can't be seen, and the time is that of the trip."""
    cause: str = ""
    """What the guardian latched first."""
    readback: str = ""
    """What a stop asked for afterwards reads back: CONFIRMED, UNCERTAIN or FAILED."""
    is_loaded: bool = False
    at_s: float = 0.0
    """Load average of the machine, one minute."""


def run_trial(rig: Rig, fault: Fault, seed: int, index: int, *, is_loaded: bool) -> Result:
    """Do one trial; the same seed and index choose the same moment.

    A motor that was at neutral already when it was to be hurt (a late command made it pause, or a
    false trip came first) proves nothing: the trial is begun again, and that is counted.

    Args:
        rig: It is driving afterwards no more.
        fault: What to do.
        seed: The campaign's seed.
        index: The trial's number.
        is_loaded: Whether somebody keeps the cores busy, for the record.

    Raises:
        CampaignError: The rig can't be brought to drive.
    """
    for attempt in range(_ATTEMPTS):
        chance = random.Random(f"{seed}:{index}" + f":{attempt}" * bool(attempt))
        result = _attempt(rig, fault, chance, Result(fault.name, index, seed, is_loaded=is_loaded))
        if result is not None:
            return result
    return Result(
        fault.name, index, seed, f"could not be begun: {rig.excused[-1]}", is_loaded=is_loaded
    )


def _attempt(rig: Rig, fault: Fault, chance: random.Random, about: Result) -> Result | None:
    """Hurt it once; None where it was not driving at that moment."""
    _drive(rig, chance.uniform(0.05, 0.25))
    begun_ns = rig.begun_ns = time.monotonic_ns()
    try:
        end = fault.begin(rig, chance)
    except WrongAnswerError as error:
        return replace(about, verdict=str(error), at_s=_load())
    except CampaignError as error:  # a victim that is not there again yet
        rig.excused.append(str(error))
        return None
    begun_ns = rig.begun_ns
    try:
        verdict, change = _judge(rig, fault, begun_ns)
        cause, before = _cause(rig), _excuse(rig, begun_ns)
        tripped_ms = _tripped_ms(rig, begun_ns) if fault.expect == "latch" else None
        _hold(begun_ns)
    finally:
        end()
    if before:
        rig.excused.append(before)
        return None
    time.sleep(_REST_S)
    rig.observer.catch_up()
    again = rig.observer.driven_after(change.at_ns) if change is not None else None
    if fault.expect in ("drive", "any") and not _is_latched(rig):
        # Commands were late for a moment; without a trip, fresh ones may go on.
        return replace(about, verdict="ok", at_s=_load())
    if fault.expect == "pause" and not _is_latched(rig):
        again = None
    elif fault.expect in ("any", "pause"):
        # It may have paused and gone on before the trip; only what moves after it is wrong.
        again = rig.observer.driven_after(max(begun_ns, _tripped_ns(rig) + _TAKEN_NS))
    if again is not None:
        stopped_ns = change.at_ns if change is not None else begun_ns
        verdict = f"it moved again {(again.at_ns - stopped_ns) / 1e6:.0f} ms after it stopped"
    return replace(
        about,
        verdict=verdict,
        ms=tripped_ms if change is None else round((change.at_ns - begun_ns) / 1e6, 2),
        layer=_layer(fault, change),
        cause=cause or _cause(rig),
        readback=_readback(rig),
        at_s=_load(),
    )


def _drive(rig: Rig, rest_s: float) -> None:
    """Let it drive for a moment; what stops it meanwhile is a false trip or a pause."""
    rig.drive()
    time.sleep(rest_s)
    rig.observer.catch_up()
    while not rig.observer.is_driven:
        if _is_latched(rig):
            rig.false_trips.append(_false_trip(rig))
        else:
            rig.excused.append(_why(rig))
        rig.drive()
        time.sleep(rest_s)
        rig.observer.catch_up()


def _why(rig: Rig) -> str:
    """Say why it stands though nothing was latched."""
    return "no guardian answers" if rig.status() is None else "late commands"


def _excuse(rig: Rig, begun_ns: int) -> str:
    """Say why the motor was not driving, or was about to stop, when it was to be hurt."""
    rig.observer.catch_up()
    status = rig.status()
    trips = status.trips if status is not None else ()
    if trips and trips[0].at_ns < begun_ns - _LOOK_NS:
        rig.false_trips.append(_false_trip(rig))
        return trips[0].cause
    return "" if rig.observer.was_driven(begun_ns) else f"at neutral already: {_why(rig)}"


def _judge(rig: Rig, fault: Fault, begun_ns: int) -> tuple[str, Change | None]:
    def change() -> Change | None:
        return rig.observer.neutral_after(begun_ns)

    if fault.expect == "drive":
        rig.observer.happens(change, HOLD_S)
        return ("it stopped without need" if change() else "ok"), change()
    if fault.expect == "latch":
        is_latched = _until(lambda: _is_latched(rig), _GIVE_UP_S)
        return ("ok" if is_latched else f"no trip within {_GIVE_UP_S:g} s"), None
    if fault.expect == "any":
        rig.observer.happens(change, HOLD_S)
        return "ok", change()
    if not rig.observer.happens(change, _GIVE_UP_S):
        rig.observer.catch_up()
        if not rig.observer.was_driven(begun_ns):
            return "ok", None  # it was at neutral before: to be begun again
        return f"NOT NEUTRAL within {_GIVE_UP_S:g} s", None
    found = change()
    if found is None:
        return "it went to neutral and on again", None
    late = (found.at_ns - begun_ns) / 1e6 > FAIL_MS
    return (f"later than {FAIL_MS:g} ms" if late else "ok"), found


def _layer(fault: Fault, change: Change | None) -> str:
    if fault.expect == "latch":
        return "trip only"
    return "" if change is None else layer_of(change.seq)


def layer_of(seq: int) -> str:
    """Say whose a frame of this number is: the gate's, the guardian's own hand's or the drive's."""
    return _LAYERS.get(seq, "gate")


def _tripped_ms(rig: Rig, begun_ns: int) -> float | None:
    at_ns = _tripped_ns(rig)
    return round((at_ns - begun_ns) / 1e6, 2) if at_ns else None


def _tripped_ns(rig: Rig) -> int:
    status = rig.status()
    trips = status.trips if status is not None else ()
    return trips[0].at_ns if trips else 0


def _hold(begun_ns: int) -> None:
    time.sleep(max(0.0, HOLD_S - (time.monotonic_ns() - begun_ns) / 1e9))


def _cause(rig: Rig) -> str:
    status = rig.status()
    return status.cause if status is not None else ""


def _false_trip(rig: Rig) -> str:
    """Tell all that is known of a trip that nobody caused: evidence, and what hosts wrote then."""
    status = rig.status()
    if status is None or not status.trips:
        return "a trip that nobody tells of: no guardian answers"
    trip = status.trips[0]
    more = f"; with it: {trip.evidence}" if trip.evidence not in ("", trip.cause) else ""
    return "\n  ".join([trip.cause + more, *written_about(rig.robot.session, trip.at_ns)])


def written_about(session: Session, at_ns: int) -> list[str]:
    """Return what hosts wrote within `WRITTEN_NS` of a moment: warnings, and gates that close."""
    offset_ns, found = session.clock_offset_ns, []
    for file in sorted(session.log_dir.glob("*.jsonl")):
        for line in file.read_text(errors="replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue  # cut off: it is being written
            is_near = abs(int(entry["stamp"]) - offset_ns - at_ns) < WRITTEN_NS
            is_news = entry.get("level") not in ("debug", "info") or "gate " in str(entry["text"])
            if is_near and is_news:
                found.append(f"{file.stem}: {entry['text']}")
    return found[-_MOST_LINES:]


def _is_latched(rig: Rig) -> bool:
    status = rig.status()
    return status is not None and not status.is_permitted


def _until(is_so: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def _readback(rig: Rig) -> str:
    with suppress(CampaignError):
        return str(rig.client.stop("after the trial", "campaign").result)
    return ""


def _load() -> float:
    with open("/proc/loadavg") as file:  # noqa: PTH123
        return float(file.read().split()[0])
