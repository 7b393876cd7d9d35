"""The firmware's files, unchanged, under real MicroPython: a pty for USB, a rig for the pins."""

from __future__ import annotations

import os
import pty
import subprocess
import time
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import rig
from olympus.drivers.registry import make_base
from olympus.drivers.serial_base import SerialRoverBase
from olympus.drivers.serial_protocol import Flag
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import DeviceError

FIRMWARE = Path(__file__).resolve().parents[2] / "hardware" / "firmware"
RIG = Path(__file__).resolve().parent / "rig"
MICROPYTHON = rig.micropython()

pytestmark = pytest.mark.skipif(
    MICROPYTHON is None, reason="no MicroPython here; `./run rig micropython` fetches it"
)


@pytest.fixture
def base() -> Iterator[SerialRoverBase]:
    assert MICROPYTHON is not None
    leader, follower = pty.openpty()
    tty.setraw(leader)
    # The board's side is the leader, so the driver opens an ordinary terminal device.
    process = subprocess.Popen(
        [str(MICROPYTHON), str(FIRMWARE / "main.py")],
        stdin=leader,
        stdout=leader,
        env={**os.environ, "MICROPYPATH": f"{RIG}:{FIRMWARE}:.frozen"},
    )
    made = make_base(f"serial://{os.ttyname(follower)}", clock=SystemClock())
    assert isinstance(made, SerialRoverBase)
    try:
        yield made
    finally:
        made.close()
        process.kill()
        process.wait(10)
        os.close(leader)
        os.close(follower)


def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


def driven(base: SerialRoverBase, left: float, right: float) -> bool:
    try:
        base.command(left, right)
    except DeviceError as error:  # it heard nothing of a machine that stood still
        if "silence" not in str(error):
            raise
        base.neutral()
    state = base.state()
    return abs(state.left_radps - left) < 0.5 and abs(state.right_radps - right) < 0.5


def test_it_drives_measures_and_stops_by_itself(base: SerialRoverBase) -> None:
    base.open()
    assert (base.wheel_radius_m, base.track_m) == (0.033, 0.16)
    with pytest.raises(DeviceError, match="boot"):
        base.command(5, 5)

    def is_free() -> bool:
        base.neutral()  # again and again: who says nothing for long is told of silence
        return base.flags == Flag(0)

    until(is_free)
    until(lambda: driven(base, 6.0, -3.0))
    state = base.state()
    assert state.left_rad > 0 > state.right_rad
    assert state.accel_mps2[2] == pytest.approx(9.807, abs=0.01)
    assert state.gyro_radps[2] == pytest.approx(0.1, abs=0.01)
    assert state.voltage_v == pytest.approx(11.4, abs=0.05)
    assert len(state.ranges_m) == 3
    until(lambda: base.flags & Flag.SILENCE)
    until(lambda: abs(base.state().left_radps) < 0.1)
    with pytest.raises(DeviceError, match="silence"):
        base.command(5, 5)


def test_a_stop_is_obeyed_and_garbage_is_not(base: SerialRoverBase) -> None:
    base.open()
    base.neutral()
    until(lambda: driven(base, 5.0, 5.0))
    base.neutral()
    until(lambda: abs(base.state().left_radps) < 0.1)
    assert base.counts.bad <= 1  # what was cut when the port was opened
