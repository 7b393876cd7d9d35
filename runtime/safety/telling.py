"""What the keeper sees, as plain values for the status."""

from __future__ import annotations

from typing import Final

from olympus.runtime.safety.acks import Ack
from olympus.runtime.safety.heartbeat import AHEAD_NS
from olympus.runtime.safety.state import Trip

MS: Final = 1_000_000


def silence(last_ns: int | None, limit_s: float, now_ns: int) -> str:
    """Say why something that should be heard is not; empty when it is."""
    if last_ns is None:
        return "never seen"
    age_ns = now_ns - last_ns
    if age_ns < -AHEAD_NS:
        return "beats from the future"
    if age_ns > limit_s * 1e9:
        return f"silent for {age_ns / MS:.0f} ms, allowed are {limit_s * 1000:.0f}"
    return ""


def told_trip(trip: Trip) -> dict[str, object]:
    """Tell a trip."""
    return {
        "cause": trip.cause,
        "by": trip.by,
        "at_ns": trip.at_ns,
        "evidence": trip.evidence,
        "is_kill": trip.is_kill,
    }


def told_watch(
    name: str, last_ns: int | None, limit_s: float | None, now_ns: int
) -> dict[str, object]:
    """Tell how fresh a heartbeat or a gate is."""
    age_s = None if last_ns is None else (now_ns - last_ns) / 1e9
    is_fresh = last_ns is not None and (limit_s is None or not silence(last_ns, limit_s, now_ns))
    return {"name": name, "age_s": age_s, "limit_s": limit_s, "is_fresh": is_fresh}


def told_gate(name: str, ack: Ack | None, limit_s: float | None, now_ns: int) -> dict[str, object]:
    """Tell a gate."""
    last_ns = None if ack is None else ack.tick_ns
    return told_watch(name, last_ns, limit_s, now_ns) | told_ack(ack)


def with_why(what: str, ack: Ack | None) -> str:
    """Say what a gate did, and why where it tells."""
    return f"{what}: {ack.why}" if ack is not None and ack.why else what


def told_ack(ack: Ack | None) -> dict[str, object]:
    """Tell what a gate last did; None is one that never ticked."""
    if ack is None:
        return {"is_neutral": None, "is_still": None, "epoch": 0, "reason": "never seen"}
    told = {"is_neutral": ack.is_neutral, "epoch": ack.epoch, "reason": ack.reason.name}
    return told | {"is_still": ack.is_still}
