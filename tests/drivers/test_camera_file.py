import itertools
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from olympus.drivers.camera_file import FolderCamera, VideoFileCamera
from olympus.drivers.registry import open_camera
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import ConfigError, DeviceError, EndOfStream, StallError

MEDIA = Path(__file__).resolve().parents[2] / "../shared/media"


def shade(index: int) -> NDArray[np.uint8]:
    """Return a grey picture, (24, 32, 3), that tells its index."""
    return np.full((24, 32, 3), 10 + index * 20, np.uint8)


def index_of(rgb: NDArray[np.uint8]) -> int:
    return round((float(rgb.mean()) - 10) / 20)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Ten frames at 50 fps."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 50.0, (32, 24))
    for index in range(10):
        writer.write(shade(index))
    writer.release()
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three pictures, the first one red."""
    red = np.zeros((24, 32, 3), np.uint8)
    red[..., 2] = 255
    for name, picture in (("a.png", red), ("b.png", shade(1)), ("c.png", shade(2))):
        cv2.imwrite(str(tmp_path / name), picture)
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_a_video_plays_at_its_own_pace_and_ends(video: Path) -> None:
    begin = time.monotonic()
    with VideoFileCamera(str(video), clock=SystemClock()) as camera:
        assert camera.is_finite
        seen = []
        stamps = []
        with pytest.raises(EndOfStream, match="loop=true"):
            while True:
                frame = camera.read()
                seen.append(index_of(frame.rgb))
                stamps.append(frame.stamp_ns)
    assert seen[0] == 0
    assert seen == sorted(set(seen))
    assert time.monotonic() - begin >= 0.17
    assert stamps == sorted(stamps)


def test_a_looping_video_starts_over(video: Path) -> None:
    with open_camera(f"{video}?loop=true", clock=SystemClock()) as camera:
        assert not camera.is_finite
        seen = [index_of(camera.read().rgb) for _ in range(14)]
    assert any(later < earlier for earlier, later in itertools.pairwise(seen))


def test_fewer_frames_per_second_leave_frames_out_but_keep_the_pace(video: Path) -> None:
    with VideoFileCamera(str(video), clock=SystemClock(), fps=10) as camera:
        assert camera.applied is not None
        assert camera.applied.fps == 10
        begin = time.monotonic()
        seen = [index_of(camera.read().rgb), index_of(camera.read().rgb)]
        assert seen == [0, 5]
        assert time.monotonic() - begin >= 0.09


def test_a_slow_reader_misses_frames_instead_of_falling_behind(video: Path) -> None:
    with VideoFileCamera(str(video), clock=SystemClock()) as camera:
        first_s = time.monotonic()
        camera.read()
        time.sleep(0.09)  # the reader is slow on purpose
        index = index_of(camera.read().rgb)
        assert index >= 4
        assert index <= (time.monotonic() - first_s) * 50 + 1


def test_pictures_are_scaled_and_the_real_size_is_reported(video: Path) -> None:
    with VideoFileCamera(str(video), clock=SystemClock(), width=16) as camera:
        assert camera.read().rgb.shape == (12, 16, 3)
        assert camera.applied is not None
        assert (camera.applied.width, camera.applied.height) == (16, 12)
    with VideoFileCamera(str(video), clock=SystemClock(), width=64, height=64) as camera:
        assert camera.read().rgb.shape == (64, 64, 3)


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="there is no video file"):
        VideoFileCamera(str(tmp_path / "none.mp4"), clock=SystemClock()).open()
    (tmp_path / "bad.mp4").write_bytes(b"not a video at all")
    with pytest.raises(DeviceError, match="no video that OpenCV can read"):
        VideoFileCamera(str(tmp_path / "bad.mp4"), clock=SystemClock()).open()


def test_a_folder_is_played_in_the_order_of_names(folder: Path) -> None:
    with FolderCamera(str(folder), clock=SystemClock(), fps=50) as camera:
        assert camera.read().rgb[0, 0].tolist() == [255, 0, 0]
        with pytest.raises(EndOfStream):
            while True:
                camera.read()


def test_a_looping_folder_goes_on(folder: Path) -> None:
    with FolderCamera(str(folder), clock=SystemClock(), fps=100, loop=True) as camera:
        reds = [camera.read().rgb[0, 0].tolist() == [255, 0, 0] for _ in range(9)]
    assert reds.count(True) >= 2


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="holds no picture"):
        FolderCamera(str(tmp_path), clock=SystemClock()).open()
    (tmp_path / "a.png").write_text("no picture")
    with (
        FolderCamera(str(tmp_path), clock=SystemClock()) as camera,
        pytest.raises(DeviceError, match=r"a\.png"),
    ):
        camera.read()


def test_a_recording_slower_than_the_timeout_stalls(folder: Path) -> None:
    with FolderCamera(str(folder), clock=SystemClock(), fps=0.1) as camera:
        camera.read()
        with pytest.raises(StallError, match="raise fps"):
            camera.read(timeout_s=0.05)


def test_a_closed_recording_says_so_and_opens_from_its_beginning(video: Path) -> None:
    camera = VideoFileCamera(str(video), clock=SystemClock())
    with pytest.raises(DeviceError, match="call open"):
        camera.read()
    for _ in range(2):
        with camera:
            assert index_of(camera.read().rgb) == 0


def test_loop_is_yes_or_no() -> None:
    with pytest.raises(ConfigError, match="true or false"):
        VideoFileCamera("x.mp4", clock=SystemClock(), loop="maybe")  # type: ignore[arg-type]


@pytest.mark.skipif(not MEDIA.exists(), reason="recorded media are not on this machine")
def test_a_recorded_real_video_plays() -> None:
    source = str(MEDIA / "one-by-one-person.mp4")
    with open_camera(source, clock=SystemClock(), width=160) as camera:
        assert camera.applied is not None
        assert camera.applied.fps == 10
        frames = [camera.read() for _ in range(3)]
    assert {frame.rgb.shape for frame in frames} == {(90, 160, 3)}
    assert frames[0].rgb.std() > 5
    gap_ms = (frames[2].stamp_ns - frames[0].stamp_ns) / 1e6
    assert gap_ms == pytest.approx(200, abs=80)
