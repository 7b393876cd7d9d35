"""What a drive and its motors' process say to each other: JSON over a seqpacket pair."""

from __future__ import annotations

import json
import math
import socket
import struct
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, JsonValue

from olympus.drivers.base import BaseState
from olympus.runtime.config import Session
from olympus.runtime.errors import MessageError
from olympus.runtime.safety.limits import Category, Limits, Rules

LARGEST: Final = 65_536
"""Largest packet, in bytes."""

BEAT_S: Final = 0.02
"""The motors' process says something at least so often, so that its silence is noticed soon."""

_ARRAYS: Final = ("accel_mps2", "gyro_radps", "bearings_rad", "ranges_m")


class MotorSpec(BaseModel):
    """What the motors' process is told at its start."""

    model_config = ConfigDict(frozen=True)

    source: str
    """Which base."""
    session: Session
    """Where it runs."""
    top_radps: float
    """Fastest a wheel may turn."""
    slew_radps2: float
    """Fastest change of that."""
    max_age_ms: float
    """A command older than this moves nothing."""
    category: Literal[0, 1]
    """Stop category."""
    rate_hz: float
    """Ticks per second."""
    report_hz: float
    """Measurements per second."""
    priority: int | None = None
    """Real-time priority to ask for."""

    def rules(self) -> Rules:
        """Return what the gate lets through: the wheels' rad/s, left first."""
        top = self.top_radps
        wheel = Limits(low=-top, high=top, slew_per_s=self.slew_radps2)
        age_ns = round(self.max_age_ms * 1e6)
        return Rules((wheel, wheel), max_age_ns=age_ns, category=Category(self.category))


@dataclass(frozen=True, slots=True)
class Packet:
    """One thing said."""

    kind: str
    """`order`, `forget`, `end` to the motors; `ready`, `state`, `applied`, `trouble`, `beat` from
    them."""
    told: dict[str, Any]


def send(end: socket.socket, kind: str, **told: object) -> bool:
    """Say something; False when the other side is gone or does not read.

    Raises:
        MessageError: It is larger than the other side takes.
    """
    raw = json.dumps({"kind": kind, **told}).encode()
    if len(raw) > LARGEST:
        raise MessageError(
            f"motors apart: a packet {kind!r} of {len(raw)} bytes, at most {LARGEST} fit; "
            "a base that measures more can't have its motors apart: give the drive `apart: never`"
        )
    try:
        end.send(raw, socket.MSG_DONTWAIT)
    except OSError:
        return False
    return True


def wait_at_most(end: socket.socket, seconds: float) -> None:
    """Let `receive` give up after some time.

    The kernel counts it: Python's own time-out asks poll first, which refuses once the process may
    have no descriptors, so that a living process would be taken for one that is gone.

    Source: poll(2), EINVAL; socket(7), SO_RCVTIMEO.
    """
    whole_s, part_s = divmod(seconds, 1)
    timeout = struct.pack("@ll", int(whole_s), int(part_s * 1e6))
    end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout)


def receive(end: socket.socket) -> Packet | None:
    """Wait for what the other side says, at most as long as was said; None when it is gone.

    Raises:
        TimeoutError: It said nothing in time.
        MessageError: What it said is no packet, or was cut off.
    """
    try:
        raw, _, flags, _ = end.recvmsg(LARGEST)
    except BlockingIOError as error:
        raise TimeoutError("nothing was said in time") from error
    except OSError:
        return None
    if not raw:
        return None
    if flags & socket.MSG_TRUNC:
        raise MessageError(f"a packet cut off at {LARGEST} bytes")
    try:
        told = json.loads(raw)
        return Packet(str(told.pop("kind")), told)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise MessageError(f"no packet of theirs ({type(error).__name__})") from error


def told_state(state: BaseState) -> dict[str, JsonValue]:
    """Return a measurement as plain values; what is not known or not finite is None."""
    return {one.name: _plain(getattr(state, one.name)) for one in fields(state)}


def read_state(told: dict[str, Any]) -> BaseState:
    """Return the measurement that `told_state` made plain."""
    values: dict[str, Any] = {name: _number(value) for name, value in told.items()}
    for name in _ARRAYS:
        values[name] = np.array(values[name], np.float32)
    return BaseState(**values)


def _plain(value: Any) -> JsonValue:
    if isinstance(value, np.ndarray):
        return [_plain(one) for one in value.tolist()]
    if isinstance(value, int):
        return value
    return float(value) if math.isfinite(value) else None


def _number(value: Any) -> Any:
    if isinstance(value, list):
        return [_number(one) for one in value]
    return math.nan if value is None else value
