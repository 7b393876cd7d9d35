"""The launch file for a board, with a motor controller on a pseudo-terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from olympus.drivers.serial_protocol import Flag
from olympus.runtime.launch.seat import Seat
from olympus.runtime.launch.testing import Launched
from olympus.runtime.messages import Ack, Command

ROOT = Path(__file__).resolve().parents[2]
MEDIA = ROOT.parent / "shared" / "media"
FILM, SOUND = MEDIA / "one-by-one-person.mp4", MEDIA / "wakeword-easy-10s.wav"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not FILM.exists(), reason=f"the recorded media are not at {MEDIA}"),
]


class Shafts:
    """A motor controller in a process of its own, and what its shafts do."""

    def __init__(self, folder: Path) -> None:
        self.link = folder / "ttyROVER"
        self.lines: list[dict[str, Any]] = []
        self.plug()

    def plug(self) -> None:
        words = ["-m", "olympus.sim.motor_controller", "--link", str(self.link)]
        process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        self.process = process
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        self.process.kill()
        self.process.wait(10)
        self._thread.join(10)
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.lines.clear()

    @property
    def is_turning(self) -> bool:
        return bool(self.lines) and bool(self.lines[-1]["moving"])

    @property
    def is_at_rest(self) -> bool:
        return bool(self.lines) and not self.lines[-1]["moving"]

    @property
    def stood_at(self) -> float:
        """When they came to rest, `time.monotonic()`."""
        return float(self.lines[-1]["monotonic_s"])

    def flags_since(self, begun: float) -> Flag:
        """Every flag raised after `begun`, `time.monotonic()`: some are gone again soon."""
        raised = Flag(0)
        for line in self.lines.copy():
            if line["monotonic_s"] > begun:
                raised |= Flag(line["flags"])
        return raised

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(json.loads(line))


@pytest.fixture
def shafts() -> Iterator[Shafts]:
    with tempfile.TemporaryDirectory(prefix="tty") as folder:
        made = Shafts(Path(folder))
        yield made
        made.unplug()


@pytest.fixture
def rover(shafts: Shafts) -> Iterator[Launched]:
    words = [
        "viewer_port:=0",
        "record:=false",
        f"camera.source:={FILM}?loop=true",
        f"microphone.source:={SOUND}?loop=true",
        f"drive.source:=serial://{shafts.link}",
    ]
    with tempfile.TemporaryDirectory(prefix="oly") as folder:
        file = ROOT / "launch" / "pi.yaml"
        with Launched(file, *words, root=Path(folder), name="pi") as robot:
            robot.until_active()
            yield robot
        assert robot.left_behind == []


async def set_off(rover: Launched, seat: Seat, shafts: Shafts) -> None:
    await rover.permit()
    wished: Ack = await seat.call("rover/navigator/say", Command(text="go to 50, 0", verb=""))
    assert wished.ok, wished.text
    await seat.until(lambda: shafts.is_turning, "the shafts turn", 20)


def is_back(process: dict[str, Any]) -> bool:
    return bool(process["restarts"] == 1 and process["state"] == "ready")


async def test_the_shafts_turn_as_told_and_stop_for_an_operator_and_for_a_killed_host(
    rover: Launched, shafts: Shafts
) -> None:
    async with rover.joined() as seat:
        odometry = seat.watch("rover/odometry")
        await set_off(rover, seat, shafts)
        await seat.until(lambda: odometry.newest.linear_mps > 0.05, "odometry from the encoders")

        begun = time.monotonic()
        stop = rover.command("stop", "--session", "pi")
        assert "CONFIRMED" in stop.stdout, stop.stdout + stop.stderr
        await seat.until(lambda: shafts.is_at_rest, "the shafts rest", 3)
        assert shafts.stood_at - begun < 3  # a second of it is starting Python
        assert shafts.flags_since(begun) == Flag(0)  # told neutral, not left alone

        await set_off(rover, seat, shafts)
        begun = time.monotonic()
        os.kill(rover.pids()["control"], signal.SIGKILL)
        await seat.until(lambda: shafts.is_at_rest, "the shafts rest again", 3)
        assert shafts.stood_at - begun < 1
        await seat.until(lambda: is_back(rover.ledger("control")), "its host is back")
        await seat.during(1, lambda: shafts.is_at_rest, "nothing moves by itself")


async def test_a_controller_that_is_plugged_in_again_moves_nothing(
    rover: Launched, shafts: Shafts
) -> None:
    async with rover.joined() as seat:
        news = seat.watch("rover/diagnostics")
        await set_off(rover, seat, shafts)
        shafts.unplug()
        await seat.until(lambda: "unplugged" in rover.output, "the loss is noticed", 20)
        await seat.until(lambda: "no such device" in rover.output, "and that it stays away", 20)
        heard = len(news.messages)
        shafts.plug()

        def is_back_again() -> bool:  # other nodes' diagnostics come in between
            return any(m.text == "answers" for m in news.messages[heard:])

        await seat.until(is_back_again, "it is back", 30)
        await seat.during(1.5, lambda: not shafts.is_turning, "nothing moves by itself")
