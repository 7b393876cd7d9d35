import asyncio
import threading
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from olympus.drivers.base import STALL_S, CameraFormat, Frame
from olympus.drivers.base import Camera as CameraDevice
from olympus.drivers.registry import register
from olympus.nodes.camera import Camera, patience_s
from olympus.runtime.clock import Clock, SystemClock
from olympus.runtime.config import Session
from olympus.runtime.errors import ConfigError, DeviceError, ParamError, StallError
from olympus.runtime.messages import Diagnostic, Image
from olympus.runtime.node.testing import Bench, running
from olympus.runtime.qos import Tier

MEDIA = Path(__file__).resolve().parents[2] / "../shared/media"


class ShutterCamera(CameraDevice):
    """A camera whose frames, silences and cable a test holds in its hand."""

    made: dict[str, "ShutterCamera"] = {}  # noqa: RUF012  the tests' way to reach it

    def __init__(
        self, location: str, *, clock: Clock, session: Session | None, fps: float = 30
    ) -> None:
        self.clock, self.fps = clock, fps
        self.shade = 7
        self.is_sensor = False
        self.shots = threading.Semaphore(0)
        self.is_plugged = True
        self.opened = 0
        self.made[location] = self

    def open(self) -> None:
        if not self.is_plugged:
            raise DeviceError("nothing is plugged in")
        self.opened += 1

    def close(self) -> None:
        pass

    def shoot(self, count: int = 1) -> None:
        self.shots.release(count)

    @property
    def is_noisy(self) -> bool:
        return self.is_sensor

    @property
    def applied(self) -> CameraFormat:
        return CameraFormat(4, 2, self.fps)

    def read(self, timeout_s: float = STALL_S) -> Frame:
        if not self.shots.acquire(timeout=timeout_s):
            raise StallError(f"no picture for {timeout_s:g} s")
        if not self.is_plugged:
            raise DeviceError("the cable is out")
        return Frame(np.full((2, 4, 3), self.shade, np.uint8), self.clock.now_ns())


register("camera", "shutter", ShutterCamera)


async def receive_image(bench: Bench[Camera]) -> Image:
    message = await bench.receive("camera/image")
    assert isinstance(message, Image)
    return message


async def diagnostic(bench: Bench[Camera], wanted: Callable[[Diagnostic], bool]) -> Diagnostic:
    """Return the next diagnostic that is as wanted."""
    async with asyncio.timeout(10):
        while True:
            message = await bench.receive("diagnostics", timeout_s=10)
            assert isinstance(message, Diagnostic)
            if wanted(message):
                return message


async def test_pictures_carry_capture_time_expiry_and_tier() -> None:
    params = {"source": "shutter://a", "frame_id": "front", "max_age_ms": 200}
    async with running(Camera, params=params) as bench:
        ShutterCamera.made["a"].shoot()
        image = await receive_image(bench)
        now_ns = SystemClock().now_ns()
        assert image.frame_id == "front"
        assert image.data.shape == (2, 4, 3)
        assert 0 <= now_ns - image.header.stamp < 2e9
        assert image.header.expires - image.header.stamp == 200_000_000
        assert image.header.tier is Tier.HIGH
        assert image.header.trace[0].topic == "camera/image"


async def test_a_stalled_camera_is_told_within_a_second_and_opened_again() -> None:
    async with running(Camera, params={"source": "shutter://b"}) as bench:
        camera = ShutterCamera.made["b"]
        begin = time.monotonic()
        camera.shoot()
        await receive_image(bench)
        stale = await diagnostic(bench, lambda news: news.level == "stale")
        assert 0.95 < time.monotonic() - begin < 5.0
        assert "no picture for 1 s; next try in 0.25 s" in stale.text
        camera.shoot()
        await receive_image(bench)
        assert camera.opened >= 2
        back = await diagnostic(bench, lambda news: news.level == "ok" and bool(news.values))
        assert int(back.values["stalls"]) >= 1


async def test_an_unplugged_camera_comes_back_with_back_off() -> None:
    params = {"source": "shutter://c", "retry_first_s": 0.02, "retry_most_s": 0.05}
    async with running(Camera, params=params) as bench:
        camera = ShutterCamera.made["c"]
        camera.shoot()
        await receive_image(bench)
        camera.is_plugged = False
        camera.shoot()
        lost = await diagnostic(bench, lambda news: news.level == "error")
        assert "the cable is out" in lost.text
        await diagnostic(bench, lambda news: "nothing is plugged in" in news.text)
        camera.is_plugged = True
        camera.shoot()
        await receive_image(bench)


async def test_a_sensor_that_repeats_one_picture_is_taken_for_frozen() -> None:
    async with running(Camera, params={"source": "shutter://h", "frozen_s": 0.05}) as bench:
        camera = ShutterCamera.made["h"]
        camera.is_sensor = True

        async def told(level: str) -> Diagnostic:
            seen = asyncio.create_task(diagnostic(bench, lambda news: news.level == level))
            while not seen.done():
                camera.shoot()
                await asyncio.sleep(0.02)
            return await seen

        stale = await told("stale")
        assert stale.text == "repeats one picture for 0.05 s; is it hung?"
        kept_back = bench.watch("camera/image")
        while not kept_back.empty():
            kept_back.get_nowait()
        camera.shade = 8
        await told("ok")
        assert (await receive_image(bench)).data[0, 0, 0] == 8


async def test_figures_come_every_second() -> None:
    async with running(Camera, params={"source": "shutter://u:p@d"}) as bench:
        ShutterCamera.made["u:p@d"].shoot(3)
        news = await diagnostic(bench, lambda news: news.values.get("frames", "0") != "0")
        assert news.name == "camera/device"
        assert news.values["source"] == "shutter://***@d"
        assert news.values["applied"] == "4x2 at 30 fps"


async def test_another_source_is_taken_at_once_and_a_wrong_one_is_refused(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((20, 30, 3), np.uint8))
    async with running(Camera, params={"source": "shutter://e"}) as bench:
        ShutterCamera.made["e"].shoot()
        await receive_image(bench)
        with pytest.raises(ParamError, match="did you mean 'rtsp'"):
            bench.runner.set_params({"source": "rstp://x"})
        assert bench.node.params.source == "shutter://e"
        bench.runner.set_params({"source": f"{tmp_path}?loop=true"})
        ShutterCamera.made["e"].shoot()
        async with asyncio.timeout(20):
            while (await receive_image(bench)).data.shape != (20, 30, 3):
                pass


async def test_the_end_of_a_recording_is_told_and_the_node_stays(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((20, 30, 3), np.uint8))
    params = {"source": str(tmp_path), "fps": 50}
    async with running(Camera, params=params) as bench:
        await receive_image(bench)
        end = await diagnostic(bench, lambda news: "come to its end" in news.text)
        assert end.level == "stale"
        assert bench.crashes == []


async def test_a_wrong_source_is_refused_before_anything_runs() -> None:
    with pytest.raises(ConfigError, match="known:"):
        async with running(Camera, params={"source": "warp://x"}):
            pass


async def test_stopping_a_stalled_camera_takes_no_longer_than_its_patience() -> None:
    async with running(Camera, params={"source": "shutter://f"}):
        begin = time.monotonic()
    assert time.monotonic() - begin < 3


@pytest.mark.parametrize(("fps", "seconds"), [(30, 1.0), (0.5, 4.0), (0, 1.0)])
def test_slow_cameras_are_given_more_patience(fps: float, seconds: float) -> None:
    camera = ShutterCamera("g", clock=SystemClock(), session=None, fps=fps)
    assert patience_s(camera) == seconds


@pytest.mark.skipif(not MEDIA.exists(), reason="recorded media are not on this machine")
async def test_a_recorded_real_video_runs_at_its_own_rate() -> None:
    source = str(MEDIA / "one-by-one-person.mp4")
    async with running(Camera, params={"source": source, "width": 160}) as bench:
        images = [await receive_image(bench) for _ in range(6)]
    gaps_ms = np.diff([image.header.stamp for image in images]) / 1e6
    assert np.median(gaps_ms) == pytest.approx(100, abs=40)
    assert {image.data.shape for image in images} == {(90, 160, 3)}
