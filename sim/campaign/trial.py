"""One trial: let it drive, hurt it at a random moment, time it, and see that nothing goes on."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from subprocess import SubprocessError
from typing import Final

from olympus.drivers.serial_protocol import SEQ_RANGE
from olympus.runtime.errors import OlympusError
from olympus.runtime.safety.status import Status
from olympus.sim.campaign.evidence import (
    LEAD_NS,
    STILL_MS,
    evidence_of,
    is_latched,
    status_of,
    told_still,
)
from olympus.sim.campaign.faults import HOLD_S, Fault
from olympus.sim.campaign.rig import Rig
from olympus.sim.campaign.standstill import stolen_ms
from olympus.sim.campaign.watching import CampaignError, Change, WrongAnswerError

FAIL_MS: Final = 1000.0
"""A motor that is not neutral by then is a failure."""

CANT_GO_ON: Final = "the campaign can't go on"

_GIVE_UP_S = 2.0
_PATIENCE_S = 10.0  # a harness of ordinary priority hears of a trip later than it comes
_REST_S = 0.2
_ATTEMPTS = 5
_MOST_ATTEMPTS = 15  # with those in which the machine stood still
_RENEWED_S = 1.2  # hurt again and again at once, a node could not vouch once a second as it should
_MOST_DRIVES = 10
_TAKEN_NS = 100_000_000  # by then a trip has reached the motor
_LOOK_NS = 5_000_000  # a trip bears the time at which the look began that found the fault
_LAYERS = {SEQ_RANGE - 1: "guardian's hand", SEQ_RANGE - 2: "drive's hand"}
_LATE = ("silent for", "too late to renew", "saw the lease lapse")
NEEDLESS: Final = "it stopped without need"


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
    still_ms: float = 0.0
    """Longest time for which a processor of the machine itself stood still meanwhile."""
    stolen_ms: float = 0.0
    """What the host of a virtual machine took of its processors meanwhile, all told."""
    evidence: str = ""
    """Of a trial that is not ok: what was measured, and what hosts wrote at that time."""


def run_trial(rig: Rig, fault: Fault, seed: int, index: int, *, is_loaded: bool) -> Result:
    """Do one trial; the same seed and index choose the same moment.

    A motor that was at neutral already when it was to be hurt (a late command made it pause, or a
    false trip came first) proves nothing: the trial is begun again, and that is counted. So is one
    in which it stopped without need since the machine itself stood still, if the witness saw that.

    Args:
        rig: It is driving afterwards no more.
        fault: What to do.
        seed: The campaign's seed.
        index: The trial's number.
        is_loaded: Whether somebody keeps the cores busy, for the record.

    Returns:
        What came of it; where the campaign itself could not go on, that is the verdict.
    """
    about = Result(fault.name, index, seed, is_loaded=is_loaded)
    left = _ATTEMPTS
    for attempt in range(_MOST_ATTEMPTS):
        chance = random.Random(f"{seed}:{index}" + f":{attempt}" * bool(attempt))
        stood = len(rig.stood_still)
        try:
            result = _attempt(rig, fault, chance, about)
        except (OlympusError, OSError, SubprocessError) as error:
            verdict = f"{CANT_GO_ON}: {type(error).__name__}: {error}"
            return replace(about, verdict=verdict, at_s=_load(), evidence=evidence_of(rig))
        if result is not None:
            return result
        left -= len(rig.stood_still) == stood
        if not left:
            break
        time.sleep(_RENEWED_S)
    why = rig.stood_still[-1] if left else rig.excused[-1]
    return replace(about, verdict=f"could not be begun: {why}", at_s=_load())


def _attempt(rig: Rig, fault: Fault, chance: random.Random, about: Result) -> Result | None:
    """Hurt it once; None where it was not driving at that moment, or the machine stood still."""
    _drive(rig, chance.uniform(0.05, 0.25))
    had_ms = stolen_ms()
    begun_ns = rig.begun_ns = time.monotonic_ns()
    try:
        end = fault.begin(rig, chance)
    except WrongAnswerError as error:
        return replace(about, verdict=str(error), at_s=_load())
    except (CampaignError, OSError) as error:  # a victim that is not there again yet
        rig.excused.append(str(error))
        return None
    begun_ns = rig.begun_ns
    try:
        verdict, change = _judge(rig, fault, begun_ns)
        _hold(begun_ns)
    finally:
        end()
    time.sleep(_REST_S)
    rig.observer.catch_up()
    status = status_of(rig)
    if before := _excuse(rig, begun_ns, status):
        rig.excused.append(before)
        return None
    still = rig.standstills.between(begun_ns - LEAD_NS, time.monotonic_ns())
    about = replace(
        about,
        verdict=verdict,
        ms=_tripped_ms(status, begun_ns) if fault.expect == "latch" else None,
        cause=status.cause if status is not None else "",
        at_s=_load(),
        still_ms=round(still[0].ms, 1) if still else 0.0,
        stolen_ms=stolen_ms() - had_ms,
    )
    if fault.expect == "drive":
        return _driven_on(rig, about, change, status)
    return _stood(rig, fault, about, change, status)


def _stood(
    rig: Rig, fault: Fault, about: Result, change: Change | None, status: Status | None
) -> Result:
    """Judge a trial in which it was to stop, or might."""
    begun_ns = rig.begun_ns
    is_free = status is None or status.is_permitted
    if fault.expect == "any" and is_free:
        # Commands were late for a moment; without a trip, fresh ones may go on.
        return replace(about, verdict="ok", ms=None, cause="")
    verdict = about.verdict
    if fault.expect == "halt" and change is not None:
        verdict, change = _settled(rig, change, _tripped_ns(status))
    again = _again(rig, fault, change, None if is_free else _tripped_ns(status))
    if again is not None:
        stopped_ns = change.at_ns if change is not None else begun_ns
        verdict = f"it moved again {(again.at_ns - stopped_ns) / 1e6:.0f} ms after it stopped"
    return replace(
        about,
        verdict=verdict,
        ms=about.ms if change is None else round((change.at_ns - begun_ns) / 1e6, 2),
        layer=_layer(fault, change),
        evidence="" if verdict == "ok" else evidence_of(rig),
        readback=_readback(rig),
    )


def _again(rig: Rig, fault: Fault, change: Change | None, tripped_ns: int | None) -> Change | None:
    """Return the change by which it moved again though it must not."""
    if fault.expect in ("any", "pause"):
        if tripped_ns is None:
            return None
        # It may have paused and gone on before the trip; only what moves after it is wrong.
        return rig.observer.driven_after(max(rig.begun_ns, tripped_ns + _TAKEN_NS))
    return rig.observer.driven_after(change.at_ns) if change is not None else None


def _driven_on(
    rig: Rig, about: Result, change: Change | None, status: Status | None
) -> Result | None:
    """Judge a trial in which motion was to go on; None where the machine itself stood still."""
    if status is not None and status.is_permitted:
        # Late commands pause it for a moment, and fresh ones may go on.
        return replace(about, verdict="ok", cause="")
    if change is None:
        if status is not None:  # it tripped when all was over
            rig.false_trips.append(evidence_of(rig))
        return about
    until_ns = max(change.at_ns, _tripped_ns(status))
    still = rig.standstills.between(rig.begun_ns - LEAD_NS, until_ns)
    if still and still[0].ms >= STILL_MS and any(word in about.cause for word in _LATE):
        stolen = f", {about.stolen_ms:.0f} ms stolen" * bool(about.stolen_ms)
        rig.stood_still.append(f"{about.fault}: {told_still(still[0])}{stolen}: {about.cause}")
        return None
    ms = round((change.at_ns - rig.begun_ns) / 1e6, 2)
    return replace(about, ms=ms, layer=layer_of(change.seq), evidence=evidence_of(rig))


def _settled(rig: Rig, change: Change, tripped_ns: int) -> tuple[str, Change]:
    """Judge the stop that counts: a pause that ended before anything was latched is none."""
    later = [one for one in rig.observer.changes if one.at_ns > change.at_ns]
    while later and later[0].is_driven and later[0].at_ns < tripped_ns:
        stop = next((one for one in later if not one.is_driven), None)
        if stop is None:
            return f"it paused, and went on after a trip: NOT NEUTRAL within {HOLD_S:g} s", change
        change, later = stop, [one for one in later if one.at_ns > stop.at_ns]
    late = (change.at_ns - rig.begun_ns) / 1e6 > FAIL_MS
    return (f"later than {FAIL_MS:g} ms" if late else "ok"), change


def _drive(rig: Rig, rest_s: float) -> None:
    """Let it drive for a moment; what stops it meanwhile is a false trip or a pause.

    Raises:
        CampaignError: Something stops it again and again.
    """
    why = ""
    for _ in range(_MOST_DRIVES):
        rig.drive()
        time.sleep(rest_s)
        rig.observer.catch_up()
        if rig.observer.is_driven:
            return
        if is_latched(rig):
            why = evidence_of(rig)
            rig.false_trips.append(why)
        else:
            why = _why(rig)
            rig.excused.append(why)
    raise CampaignError(f"it was stopped {_MOST_DRIVES} times before anything was hurt: {why}")


def _why(rig: Rig) -> str:
    """Say why it stands though nothing was latched."""
    return "no guardian answers" if rig.status() is None else "late commands"


def _excuse(rig: Rig, begun_ns: int, status: Status | None) -> str:
    """Say why the motor was not driving, or was about to stop, when it was to be hurt."""
    trips = status.trips if status is not None else ()
    if trips and trips[0].at_ns < begun_ns - _LOOK_NS:
        rig.false_trips.append(evidence_of(rig))
        return trips[0].cause
    return "" if rig.observer.was_driven(begun_ns) else f"at neutral already: {_why(rig)}"


def _judge(rig: Rig, fault: Fault, begun_ns: int) -> tuple[str, Change | None]:
    if fault.expect == "latch":
        _until(lambda: is_latched(rig, 0.0), _PATIENCE_S)
        is_in_time = 0 < _tripped_ns(status_of(rig)) - begun_ns < _GIVE_UP_S * 1e9
        return ("ok" if is_in_time else f"no trip within {_GIVE_UP_S:g} s"), None
    found: list[Change] = []

    def is_neutral() -> bool:
        change = rig.observer.neutral_after(begun_ns)
        found.extend([change] if change is not None else [])
        return bool(found)

    may_go_on = fault.expect in ("drive", "any")
    rig.observer.happens(is_neutral, HOLD_S if may_go_on else _GIVE_UP_S)
    if fault.expect == "drive":
        return (NEEDLESS if found else "ok"), found[0] if found else None
    if found or may_go_on:
        return "ok", found[0] if found else None
    rig.observer.catch_up()
    if not rig.observer.was_driven(begun_ns):
        return "ok", None  # it was at neutral before: to be begun again
    return f"NOT NEUTRAL within {_GIVE_UP_S:g} s", None


def _layer(fault: Fault, change: Change | None) -> str:
    if fault.expect == "latch":
        return "trip only"
    return "" if change is None else layer_of(change.seq)


def layer_of(seq: int) -> str:
    """Say whose a frame of this number is: the gate's, the guardian's own hand's or the drive's."""
    return _LAYERS.get(seq, "gate")


def _tripped_ms(status: Status | None, begun_ns: int) -> float | None:
    at_ns = _tripped_ns(status)
    return round((at_ns - begun_ns) / 1e6, 2) if at_ns else None


def _tripped_ns(status: Status | None) -> int:
    trips = status.trips if status is not None else ()
    return trips[0].at_ns if trips else 0


def _hold(begun_ns: int) -> None:
    time.sleep(max(0.0, HOLD_S - (time.monotonic_ns() - begun_ns) / 1e9))


def _until(is_so: Callable[[], object], seconds: float) -> bool:
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
