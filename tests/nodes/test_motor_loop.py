from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from olympus.drivers.base import BaseState, RoverBase
from olympus.nodes.motor_loop import MotorLoop, Order
from olympus.runtime.config import Session
from olympus.runtime.errors import DeviceError
from olympus.runtime.messages import Twist
from olympus.runtime.safety.gate import Applied, Command
from olympus.runtime.safety.lease import LeaseWriter
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
        self.creep_radps = 0.0
        self.is_half_blind = False
        self.age_ns = 0

    def open(self) -> None: ...

    def close(self) -> None: ...

    def command(self, left_radps: float, right_radps: float) -> None:
        if not self.is_plugged:
            raise DeviceError("motors: unplugged; plug them in")
        self.told.append((left_radps, right_radps))

    def neutral(self) -> None:
        self.told.append((0.0, 0.0))

    def state(self) -> BaseState:
        left, right = self.told[-1]
        right = math.nan if self.is_half_blind else right
        nothing = np.zeros(0, np.float32)
        return BaseState(
            left_radps=left + self.creep_radps,
            right_radps=right,
            left_rad=0.0,
            right_rad=0.0,
            accel_mps2=nothing,
            gyro_radps=nothing,
            bearings_rad=nothing,
            ranges_m=nothing,
            range_max_m=4.0,
            voltage_v=12.0,
            current_a=1.0,
            charge=1.0,
            stamp_ns=time.monotonic_ns() - self.age_ns,
        )


class Rig:
    """A motor loop on fake motors, before a real guardian."""

    def __init__(self, session: Session, rate_hz: float) -> None:
        self.motors = Motors()
        self.applied: list[tuple[Applied, Twist | None]] = []
        self.orders = 0
        self.loop = MotorLoop(
            self.motors, session.safety_dir, RULES, rate_hz=rate_hz, tell=self._tell
        )
        self.loop.start()

    def _tell(self, applied: Applied, order: Order | None, _: int) -> None:
        assert threading.current_thread().name == "motors"
        self.applied.append((applied, order.twist if order is not None else None))

    def order(self, speed: float) -> None:
        self.orders += 1
        self.loop.obey(Order(TWIST, Command((speed, speed), time.monotonic_ns())))

    def is_driven(self, speed: float) -> bool:
        """Order it, and tell whether the motors were told so: of a busy machine again and again."""
        self.order(speed)
        return (speed, speed) in self.motors.told

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


@pytest.fixture
def permit_again(session: Session) -> Iterator[Callable[[], object]]:
    """Permits motion for a second, as a guardian that nothing trips."""
    session.safety_dir.mkdir(parents=True, exist_ok=True)
    lease, now_ns = LeaseWriter(session.safety_dir), time.monotonic_ns()
    lease.grant(1, now_ns, now_ns + 10**9)
    yield lambda: lease.renew(1, time.monotonic_ns() + 10**9)
    lease.close()


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

    def is_obeyed() -> bool:
        rig.order(1.0)  # again and again: on a busy machine one may be stale by then
        return rig.count("ok") >= 1

    until(is_obeyed, timeout_s=3.0)
    assert (1.0, 1.0) in rig.motors.told


def test_orders_faster_than_its_rate_do_not_put_off_the_tick_that_finds_them_stale(
    start: Callable[[float], Rig], guardian: Any
) -> None:
    guardian.permit()
    rig = start(10.0)
    until(lambda: rig.count("new_permission") == 1)

    def is_obeyed(times: int) -> bool:
        rig.order(1.0)  # again and again: on a busy machine one may be stale by then
        return rig.count("ok") >= times

    for number in range(100):  # each makes a tick at once: of a clock that ran ahead, 10 s
        until(partial(is_obeyed, number + 1))
    stale = rig.count("stale")
    until(lambda: rig.count("stale") > stale, timeout_s=5.0)
    assert rig.motors.told[-1] == (0.0, 0.0)


def test_what_was_applied_is_told_once_for_each_order_or_reason(
    start: Callable[[float], Rig], guardian: Any
) -> None:
    guardian.permit()
    rig = start(100.0)
    until(lambda: rig.count("no_command") >= 5)
    until(lambda: rig.is_driven(1.0))
    stale = rig.count("stale")
    until(lambda: rig.count("stale") >= stale + 5)
    reasons = [applied.reason.name for applied, _ in rig.applied]
    assert reasons[:2] == ["NEW_PERMISSION", "NO_COMMAND"]
    assert set(reasons[2:]) == {"OK", "STALE"} and reasons[-1] == "STALE"
    assert len(reasons[2:]) <= 2 * rig.orders  # and not one for each tick that found it stale
    assert all(twist is TWIST for _, twist in rig.applied[2:])
    assert rig.motors.told[-1] == (0.0, 0.0)


def test_motors_that_do_not_answer_are_counted_named_and_ticked_on(
    start: Callable[[float], Rig],
    permit_again: Callable[[], object],
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = start(100.0)
    rig.motors.is_plugged = False

    def times_said() -> int:
        said = [line.getMessage() for line in caplog.records]
        return sum(text.startswith("motors to neutral: ") for text in said)

    def are_told_once_in_a_row() -> bool:
        permit_again()
        rig.order(1.0)  # again and again: on a busy machine one may be stale before the next tick
        return rig.loop.faults >= times_said() + 2

    until(are_told_once_in_a_row)
    assert times_said() >= 1
    rig.motors.is_plugged = True
    before = rig.count("stale")

    def is_ticked_on() -> bool:
        permit_again()
        return rig.count("stale") > before + 3

    until(is_ticked_on)


def test_a_stop_makes_it_neutral_whatever_is_ordered(
    start: Callable[[float], Rig], guardian_of_drive: Any
) -> None:
    rig = start(100.0)
    permit(guardian_of_drive)
    until(lambda: rig.count("no_command") >= 1)
    until(lambda: rig.is_driven(5.0))
    outcome = guardian_of_drive.client.stop("test")
    assert outcome.is_confirmed, outcome
    rig.order(5.0)
    before = rig.count("no_lease")
    until(lambda: rig.count("no_lease") > before + 5)
    assert rig.motors.told[-1] == (0.0, 0.0)


@pytest.mark.parametrize(
    ("creep_radps", "age_ns", "result", "text"),
    [
        (0.5, 0, "FAILED", "still moving: drive"),
        (0.0, 10**9, "UNCERTAIN", "nothing measures drive"),
    ],
)
def test_a_wheel_that_turns_on_is_no_confirmed_stop(
    start: Callable[[float], Rig],
    guardian_of_drive: Any,
    creep_radps: float,
    age_ns: int,
    result: str,
    text: str,
) -> None:
    rig = start(100.0)
    permit(guardian_of_drive)
    rig.motors.creep_radps, rig.motors.age_ns = creep_radps, age_ns
    outcome = guardian_of_drive.client.stop("test")
    assert (outcome.result, text in outcome.text) == (result, True), outcome


def test_a_loop_that_fails_leaves_neutral_motors_and_a_silent_gate(
    start: Callable[[float], Rig], guardian_of_drive: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = start(100.0)
    permit(guardian_of_drive)
    failed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", failed.append)

    def fail(_left: float, _right: float) -> None:
        raise MemoryError

    until(lambda: rig.is_driven(5.0))
    rig.motors.command = fail  # type: ignore[assignment]
    until(lambda: rig.is_driven(4.0) or bool(failed))
    until(lambda: rig.motors.told[-1] == (0.0, 0.0))
    until(lambda: not guardian_of_drive.client.status().is_permitted)


def test_a_wheel_whose_speed_nobody_knows_is_no_confirmed_stop(
    start: Callable[[float], Rig], guardian_of_drive: Any
) -> None:
    rig = start(100.0)
    permit(guardian_of_drive)
    rig.motors.is_half_blind = True
    outcome = guardian_of_drive.client.stop("test")
    assert (outcome.result, "nothing measures drive" in outcome.text) == ("UNCERTAIN", True), (
        outcome
    )


def test_a_loop_that_is_stopped_says_why_in_the_trip(
    start: Callable[[float], Rig], guardian_of_drive: Any
) -> None:
    rig = start(100.0)
    permit(guardian_of_drive)
    rig.loop.stop("its base is opened again: unplugged")
    until(lambda: not guardian_of_drive.client.status().is_permitted)
    trip = guardian_of_drive.client.status().trips[0]
    assert trip.cause == "gate drive: closed: its base is opened again: unplugged"
