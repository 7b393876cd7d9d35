"""The same launch file on recorded real media: a video for the camera, a sound file for the ear."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from olympus.runtime.messages import Detections

if TYPE_CHECKING:
    from tests.e2e.conftest import Ride, Riding

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
VIDEO = SHARED / "media" / "one-by-one-person.mp4"
WAV = SHARED / "media" / "wakeword-easy-10s.wav"
VWW = ROOT / "tests" / "models" / "mlperf_tiny" / "vww_96_int8.yaml"
THIRD_PARTY = SHARED / "models" / "mlperf-tiny"

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.skipif(
        not (VIDEO.is_file() and WAV.is_file()), reason=f"no recorded media in {VIDEO.parent}"
    ),
]
needs_vww = pytest.mark.skipif(
    not THIRD_PARTY.is_dir(), reason=f"no third-party models in {THIRD_PARTY}"
)


@pytest.fixture
def wheels(tmp_path: Path) -> Iterator[str]:
    """A motor controller on a serial line, in a process of its own."""
    line = tmp_path / "ttyROVER"
    command = [sys.executable, "-m", "olympus.sim.motor_controller", "--link", str(line)]
    controller = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    yield f"serial://{line}"
    controller.terminate()
    controller.wait(10)


async def test_a_video_takes_the_place_of_the_simulated_camera(riding: Riding) -> None:
    async with riding(f"camera.source:={VIDEO}?loop=true") as ride:
        assert await picture_size(ride) == (432, 768)
        await until_looked_at(ride, 20)
        await ride.seat.until(lambda: ride.truth.messages, "the simulator drives the base")
        assert ride.complaints() == []


@needs_vww
async def test_without_the_simulator_a_third_party_model_sees_the_people_in_a_video(
    riding: Riding, wheels: str
) -> None:
    words = [
        "simulate:=false",
        f"drive.source:={wheels}",
        f"camera.source:={VIDEO}?loop=true",
        f"microphone.source:={WAV}?loop=true",
        f"detector.model:={VWW}",
    ]
    async with riding(*words) as ride:
        heard = ride.seat.watch("rover/microphone/audio")
        detections = await until_looked_at(ride, 1)
        assert detections[0].model.startswith("vww-96-int8")

        def sees_people() -> bool:
            return any(item.label == "person" for seen in detections for item in seen.items)

        await ride.seat.until(sees_people, "people are seen", 60)
        assert heard.newest.rate_hz == 16_000
        await ride.seat.until(lambda: len(heard.messages) > 50, "sound comes")
        assert any(len(seen.items) == 0 for seen in detections)
        assert any(p.kind == "object" and p.label == "person" for p in ride.percepts.messages)
        assert ride.complaints() == []
        assert ride.unexplained_drops() == {}


async def picture_size(ride: Ride) -> tuple[int, ...]:
    pictures = ride.seat.watch("rover/camera/image")
    await ride.seat.until(lambda: pictures.messages, "pictures come")
    return tuple(pictures.newest.data.shape[:2])


async def until_looked_at(ride: Ride, count: int) -> list[Detections]:
    seen = ride.seat.watch("rover/detections")
    await ride.seat.until(lambda: len(seen.messages) >= count, "pictures are looked at")
    return seen.messages
