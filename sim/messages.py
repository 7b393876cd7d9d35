"""What the simulator says about itself, and what it can be asked to do."""

from __future__ import annotations

from dataclasses import dataclass

from olympus.runtime.messages import Message, message


@dataclass(frozen=True, slots=True, kw_only=True)
class TruePose:
    """Where something really is; world frame, x along the corridor, y to its left."""

    x_m: float
    y_m: float
    yaw_rad: float


@message("sim/Truth")
class Truth(Message):
    """What no sensor knows: for tests, benchmarks and pictures, never for the robot."""

    time_s: float
    """World time."""
    rover: TruePose
    linear_mps: float
    angular_radps: float
    people: tuple[TruePose, ...]
    collisions: int
    """Since the start."""
    faults: tuple[str, ...]
    """Names of the faults that are on."""


@message("sim/SetFault")
class SetFault(Message):
    """Cause a fault or end it; the fields of `sim.faults.Faults` are the names."""

    name: str
    value: float
    """1 and 0 for on and off; a share for `slip_factor`."""


@message("sim/Happen")
class Happen(Message):
    """Let something happen; `sim.happenings.EVENTS` are the names."""

    name: str
    """Such as `shout_stop`, `siren`, `smoke:lab`."""
