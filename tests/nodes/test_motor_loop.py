from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from olympus.drivers.base import BaseState, RoverBase
from olympus.nodes.motor_loop import MotorLoop, Order
from olympus.runtime.config import Session
from olympus.runtime.errors import DeviceError
from olympus.runtime.messages import Twist
from olympus.runtime.safety.gate import Applied, Command
from olympus.runtime.safety.limits import Category, Limits, Rules

RULES = Rules((Limits(-10.0, 10.0, 1e9),) * 2, category=Category.BRAKE)
"""Steep enough that an order given a microsecond after a tick is carried out in full."""

TWIST = Twist(linear_mps=0.1, angular_radps=0.0)


class Motors(RoverBase):
    """Motors that write down what they are told, and can be unplugged."""

    wheel_radius_m = 0.08
    track_m = 0.34

    def __init__(self) -> None:
        self.told: list[tuple[float, float]] = []
        self.is_plugged = True

    def open(self) -> None: ...

    def close(self) -> None: ...

    def command(self, left_radps: float, right_radps: float) -> None:
        if not self.is_plugged:
            raise DeviceError("motors: unplugged; plug them in")
        self.told.append((left_radps, right_radps))

    def neutral(self) -> None:
        self.told.append((0.0, 0.0))

    def state(self) -> BaseState:
        raise DeviceError(f"motors: measure nothing, {np.nan}")


class Rig:
    """A motor loop on fake motors, before a real guardian."""

    def __init__(self, session: Session, rate_hz: float) -> None:
        self.motors = Motors()
        self.applied: list[tuple[Applied, Twist | None]] = []
        self.loop = MotorLoop(
            self.motors, session.safety_dir, RULES, rate_hz=rate_hz, tell=self._tell
        )
        self.loop.start()

    def _tell(self, applied: Applied, twist: Twist | None, _: int) -> None:
        assert threading.current_thread().name == "motors"
        self.applied.append((applied, twist))

    def order(self, speed: float) -> None:
        self.loop.obey(Order(TWIST, Command((speed, speed), time.monotonic_ns())))

    def count(self, reason: str) -> int:
        return self.loop.counts.get(reason, 0)


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


@pytest.fixture
def start(session: Session) -> Iterator[Callable[[float], Rig]]:
    rigs: list[Rig] = []

    def begin(rate_hz: float) -> Rig:
        rigs.append(Rig(session, rate_hz))
        return rigs[-1]

    yield begin
    for rig in rigs:
        rig.loop.stop()
        assert rig.motors.told[-1] == (0.0, 0.0)


def permit(guardian: Any) -> None:
    until(lambda: bool(guardian.is_ready))
    guardian.permit()


def test_it_ticks_at_its_rate_and_stays_neutral_without_permission(
    start: Callable[[float], Rig],
) -> None:
    rig = start(100.0)
    began = time.monotonic()
    rig.order(5.0)
    until(lambda: rig.count("no_lease") >= 50)
    assert time.monotonic() - began > 0.4
    assert set(rig.motors.told) == {(0.0, 0.0)}


def test_an_order_is_carried_out_at_once_and_not_at_the_next_tick(
    start: Callable[[float], Rig], guardian: Any
) -> None:
    guardian.permit()
    rig = start(0.2)  # a tick every 5 s
    until(lambda: rig.count("new_permission") == 1)
    rig.order(1.0)
    until(lambda: rig.count("ok") == 1, timeout_s=3.0)
    assert rig.motors.told[-1] == (1.0, 1.0)


def test_what_was_applied_is_told_once_for_each_order_or_reason(
    start: Callable[[float], Rig], guardian: Any
) -> None:
    guardian.permit()
    rig = start(100.0)
    until(lambda: rig.count("no_command") >= 5)
    rig.order(1.0)
    until(lambda: rig.count("stale") >= 5)
    reasons = [applied.reason.name for applied, _ in rig.applied]
    assert reasons == ["NEW_PERMISSION", "NO_COMMAND", "OK", "STALE"]
    assert [twist for _, twist in rig.applied][2:] == [TWIST, TWIST]
    assert rig.motors.told[-1] == (0.0, 0.0)


def test_motors_that_do_not_answer_are_counted_and_ticked_on(
    start: Callable[[float], Rig], guardian: Any
) -> None:
    guardian.permit()
    rig = start(100.0)
    rig.motors.is_plugged = False
    until(lambda: rig.count("no_command") >= 1)
    rig.order(1.0)
    until(lambda: rig.loop.faults >= 3)
    rig.motors.is_plugged = True
    before = rig.count("stale")
    until(lambda: rig.count("stale") > before + 3)


def test_a_stop_makes_it_neutral_whatever_is_ordered(
    start: Callable[[float], Rig], guardian_of_drive: Any
) -> None:
    rig = start(100.0)
    permit(guardian_of_drive)
    until(lambda: rig.count("no_command") >= 1)
    rig.order(5.0)
    until(lambda: rig.motors.told[-1] == (5.0, 5.0))
    outcome = guardian_of_drive.client.stop("test")
    assert outcome.is_confirmed, outcome
    rig.order(5.0)
    before = rig.count("no_lease")
    until(lambda: rig.count("no_lease") > before + 5)
    assert rig.motors.told[-1] == (0.0, 0.0)
