"""The stop input as a guardian process reads it: pressed, it stops and no reset helps."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from olympus.runtime.errors import DeviceError
from olympus.runtime.safety import spawn
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.heartbeat import HeartbeatWriter
from olympus.runtime.safety.readback import Result
from olympus.runtime.safety.settings import Settings
from olympus.runtime.safety.state import Mode
from olympus.runtime.safety.stopinput import StopInput

pytestmark = pytest.mark.e2e


@pytest.fixture
def contact(tmp_path: Path) -> Path:
    file = tmp_path / "value"
    file.write_text("0\n")
    return file


def guarded(directory: Path, **options: Any) -> Settings:
    return Settings(
        dir=directory, watch={"drive": 2.0}, lease_ms=1000, lock_memory=False, **options
    )


def test_a_guardian_reads_it_stops_and_refuses_a_reset_while_it_is_pressed(
    safety_dir: Path,
    contact: Path,
    start_guardian: Callable[[Settings], spawn.Started],
    drive: Callable[[Path], Any],
    until_true: Callable[..., None],
    permit_motion: Callable[[SafetyClient], None],
) -> None:
    start_guardian(guarded(safety_dir, estop=StopInput(file=str(contact))))
    turning, client = drive(safety_dir), SafetyClient(safety_dir)
    permit_motion(client)
    until_true(lambda: turning.output > 0)
    contact.write_text("1\n")
    until_true(lambda: turning.output == 0.0)
    status = client.status()
    assert (status.state, status.cause) == (Mode.TRIPPED, "stop input pressed or cut")
    assert status.estop is not None
    assert (status.estop.is_pressed, status.estop.seen) == (True, "at every look")
    time.sleep(0.21)  # not as one held button
    outcome = client.reset("test")
    assert outcome.result is Result.FAILED
    assert f"stop input: {contact} is pressed" in outcome.text
    contact.write_text("0\n")
    time.sleep(0.21)
    permit_motion(client)
    until_true(lambda: turning.output > 0)


def test_pressed_at_boot_it_stays_stopped(
    safety_dir: Path, contact: Path, start_guardian: Callable[[Settings], spawn.Started]
) -> None:
    contact.write_text("1\n")
    start_guardian(guarded(safety_dir, estop=StopInput(file=str(contact))))
    beats = HeartbeatWriter(safety_dir, "drive")
    client = SafetyClient(safety_dir)
    for _ in range(3):
        beats.beat()
        assert "is pressed" in client.reset("test").text
        time.sleep(0.21)
    assert client.status().state is Mode.STOPPED
    beats.close()


def test_a_guardian_does_not_start_without_the_input_it_is_to_read(
    safety_dir: Path, tmp_path: Path
) -> None:
    safety_dir.mkdir(mode=0o700)
    config = tmp_path / "guardian.json"
    config.write_text(guarded(safety_dir, estop=StopInput(line="NO-SUCH-LINE")).to_json())
    done = subprocess.run(
        spawn.command(config),
        env=spawn.environment(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == DeviceError.exit_code
    assert "any GPIO chip has no line 'NO-SUCH-LINE'" in done.stderr
