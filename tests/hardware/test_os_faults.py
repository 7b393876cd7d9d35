"""Faults of a whole computer: the real guardian in a virtual machine, the real relay outside it."""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import rig
from olympus.hardware.rig.os_faults import FAULTS, Theatre

IMAGE, MICROPYTHON = rig.vm(), rig.micropython()
SEED = 20_261_125
HARD_MS = 1000.0
"""No fault may leave the motor with power for longer, however busy the host."""

pytestmark = [
    pytest.mark.skipif(IMAGE is None, reason="no virtual machine here; `./run rig` fetches it"),
    pytest.mark.skipif(MICROPYTHON is None, reason="no MicroPython here; `./run rig` fetches it"),
    pytest.mark.timeout(180),
]


@pytest.fixture(scope="module")
def theatre() -> Iterator[Theatre]:
    assert IMAGE is not None
    assert MICROPYTHON is not None
    folder = Path(tempfile.mkdtemp(prefix="vm"))
    theatre = Theatre(IMAGE, rig.GUEST_MODULES, MICROPYTHON, folder)
    yield theatre
    theatre.close()
    shutil.rmtree(folder)


def until(condition: Callable[[], bool], within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.01)


@pytest.mark.parametrize("fault", FAULTS)
def test_motor_power_is_cut_whatever_the_computer_does(
    theatre: Theatre, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    trial = theatre.trial(fault, random.Random(SEED))
    with capsys.disabled():
        sys.stdout.write(
            f"\n{FAULTS[fault]}: motor's last drive {trial.motor_ms:.0f} ms, relay open "
            f"{trial.relay_ms:.0f} ms, watchdog {trial.watchdog_ms:.0f} ms"
        )
    assert trial.relay_ms < HARD_MS, trial
    assert trial.watchdog_ms > 0, trial  # it bit, however late a busy host let it


def test_a_watchdog_loaded_with_nowayout_bites_though_it_was_told_to_stop(theatre: Theatre) -> None:
    machine = theatre.machine
    machine.restore()
    machine.run(
        "from olympus.hardware.watchdog_device import WatchdogDevice, is_nowayout\n"
        "one.guardian.kill()\n"
        "one.guardian.wait()\n"
        "dog = WatchdogDevice('/dev/watchdog0')\n"
        "dog.set_timeout(1)"
    )
    assert machine.evaluate("is_nowayout('/dev/watchdog0')") is True
    since_ns = machine.begin("dog.close(disarm=True)")
    until(lambda: machine.event_after("WATCHDOG", since_ns) is not None)
    assert theatre.has_bitten
    machine.restore()
    assert not theatre.has_bitten


def test_the_real_driver_is_told_as_it_is(theatre: Theatre) -> None:
    theatre.machine.restore()
    told = theatre.machine.evaluate(
        "[[backstop.name, backstop.text, backstop.problem, dict(backstop.facts)]"
        " for backstop in one.client.status().backstops]"
    )
    (name, text, problem, facts), relay = told
    assert (name, problem) == ("watchdog", "")
    assert text.startswith("i6300ESB timer armed, bites after 1 s")
    assert (facts["timeout_s"], facts["left_s"], facts["has_bitten"]) == (1, None, False)
    assert relay[0] == "relay"
