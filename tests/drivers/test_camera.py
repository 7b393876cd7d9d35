import threading
import time
from collections.abc import Iterator
from types import ModuleType

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from olympus.drivers.camera import CsiCamera, GstCamera, RtspCamera, V4l2Camera
from olympus.drivers.capture import Capture, CaptureCamera, age_from_kernel
from olympus.drivers.opencv import to_rgb
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import ConfigError, DeviceError, StallError


class Tape:
    """A capture that plays when it is told to, and hangs otherwise, as real drivers do."""

    def __init__(self) -> None:
        self.frames = threading.Semaphore(0)
        self.count = 0
        self.is_broken = False
        self.is_released = False

    def play(self, count: int = 1) -> None:
        self.frames.release(count)

    def unplug(self) -> None:
        self.is_broken = True
        self.frames.release()

    def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
        self.frames.acquire()
        if self.is_broken:
            return False, None
        self.count += 1
        picture = np.zeros((4, 6, 3), np.uint8)
        picture[:] = (self.count, 0, 200)
        return True, picture

    def get(self, prop: int) -> float:
        sizes = {cv2.CAP_PROP_FRAME_WIDTH: 6.0, cv2.CAP_PROP_FRAME_HEIGHT: 4.0}
        return sizes.get(prop, 15.0)

    def release(self) -> None:
        self.is_released = True


class TapeCamera(CaptureCamera):
    def __init__(self, tape: Tape) -> None:
        super().__init__("tape", clock=SystemClock())
        self.tape = tape

    def make_capture(self, cv2: ModuleType) -> Capture:
        return self.tape


@pytest.fixture
def tape() -> Iterator[Tape]:
    tape = Tape()
    yield tape
    tape.unplug()


def wait_until(tape: Tape, count: int) -> None:
    deadline = time.monotonic() + 20
    while tape.count < count and time.monotonic() < deadline:
        time.sleep(0.002)
    assert tape.count >= count


def test_colours_are_red_green_blue_and_nobody_can_write_to_them(tape: Tape) -> None:
    with TapeCamera(tape) as camera:
        tape.play()
        frame = camera.read()
        assert frame.rgb[0, 0].tolist() == [200, 0, 1]
        assert frame.rgb.shape == (4, 6, 3)
        with pytest.raises(ValueError, match="read-only"):
            frame.rgb[0, 0, 0] = 1


def test_the_newest_frame_wins(tape: Tape) -> None:
    with TapeCamera(tape) as camera:
        tape.play(5)
        wait_until(tape, 5)
        deadline = time.monotonic() + 20
        newest = 0
        while newest < 5 and time.monotonic() < deadline:
            newest = int(camera.read().rgb[0, 0, 2])
        assert newest == 5
        with pytest.raises(StallError):
            camera.read(timeout_s=0.02)


def test_a_device_that_hangs_is_noticed_within_a_second_and_a_bit(tape: Tape) -> None:
    with TapeCamera(tape) as camera:
        tape.play()
        camera.read()
        begin = time.monotonic()
        with pytest.raises(StallError, match="gave no picture for 1 s"):
            camera.read()
        assert 0.95 < time.monotonic() - begin < 5.0


def test_a_hanging_device_can_be_closed_at_once_and_opened_when_it_wakes(tape: Tape) -> None:
    camera = TapeCamera(tape)
    camera.open()
    tape.play()
    camera.read()
    begin = time.monotonic()
    camera.close()
    assert time.monotonic() - begin < 5.0  # one that waited for the device would wait for ever
    with pytest.raises(DeviceError, match="still hangs"):
        camera.open()
    tape.play()
    deadline = time.monotonic() + 20
    while not tape.is_released and time.monotonic() < deadline:
        time.sleep(0.002)
    while time.monotonic() < deadline:
        try:
            camera.open()
            break
        except DeviceError:
            time.sleep(0.002)
    tape.play()
    assert camera.read().rgb.shape == (4, 6, 3)
    tape.unplug()
    camera.close()


def test_an_unplugged_device_is_told_at_once(tape: Tape) -> None:
    with TapeCamera(tape) as camera:
        tape.unplug()
        with pytest.raises(DeviceError, match="unplugged") as caught:
            camera.read()
        assert not isinstance(caught.value, StallError)


def test_what_the_device_really_does_is_reported(tape: Tape) -> None:
    camera = TapeCamera(tape)
    assert camera.applied is None
    with camera:
        assert camera.applied is not None
        assert (camera.applied.width, camera.applied.height, camera.applied.fps) == (6, 4, 15.0)
        assert not camera.is_finite


def test_a_closed_camera_says_so(tape: Tape) -> None:
    with pytest.raises(DeviceError, match="call open"):
        TapeCamera(tape).read()


def test_open_and_close_may_be_called_again_and_again(tape: Tape) -> None:
    camera = TapeCamera(tape)
    camera.close()
    camera.open()
    camera.open()
    tape.unplug()
    camera.close()
    camera.close()


def test_a_camera_that_is_slow_to_open_is_given_up() -> None:
    gate = threading.Event()

    class SlowCamera(TapeCamera):
        open_timeout_s = 0.05

        def make_capture(self, cv2: ModuleType) -> Capture:
            gate.wait(10)
            return self.tape

    tape = Tape()
    tape.unplug()
    with pytest.raises(DeviceError, match=r"did not open within 0\.05 s"):
        SlowCamera(tape).open()
    gate.set()


@pytest.mark.parametrize(("fps", "width", "height"), [(0, 1, 1), (1, -1, 1), (1, 1, 0)])
def test_wishes_must_be_positive(fps: int, width: int, height: int) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        RtspCamera("rtsp://host/x", clock=SystemClock(), fps=fps, width=width, height=height)


def test_a_pipeline_without_gstreamer_says_how_to_get_it() -> None:
    if "GStreamer:                   YES" in cv2.getBuildInformation():
        pytest.skip("this OpenCV has GStreamer")
    with pytest.raises(DeviceError, match=r"built without it.*python3-opencv"):
        GstCamera("videotestsrc", clock=SystemClock()).open()


def test_a_csi_camera_becomes_a_pipeline_for_its_board() -> None:
    jetson = CsiCamera("1", clock=SystemClock(), via="nvargus", width=1280, height=720, fps=15)
    assert jetson.pipeline().startswith("nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),")
    assert "width=1280,height=720,framerate=15/1" in jetson.pipeline()
    pi = CsiCamera("0", clock=SystemClock(), via="libcamera")
    assert pi.pipeline().startswith("libcamerasrc ! video/x-raw,width=640,height=480")
    assert "drop=true max-buffers=1" in pi.pipeline()
    with pytest.raises(ConfigError, match="by name"):
        CsiCamera("1", clock=SystemClock(), via="libcamera")
    with pytest.raises(ConfigError, match=r"0\.\.7"):
        CsiCamera("0", clock=SystemClock(), flip=8)


def test_a_pixel_format_has_four_letters() -> None:
    with pytest.raises(ConfigError, match="four letters"):
        V4l2Camera("/dev/video0", clock=SystemClock(), fourcc="MJPEG")


def test_a_file_that_is_no_camera_is_refused() -> None:
    with pytest.raises(DeviceError, match="can't be opened"):
        V4l2Camera("/dev/null", clock=SystemClock()).open()


def test_a_stream_nobody_serves_is_refused_and_its_password_kept() -> None:
    with pytest.raises(DeviceError, match="does not answer") as caught:
        RtspCamera("rtsp://anna:geheim@127.0.0.1:9/x", clock=SystemClock()).open()
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 1), (4, 6, 3), (4, 6, 4)])
def test_grey_and_colour_become_rgb(shape: tuple[int, ...]) -> None:
    assert to_rgb(cv2, np.full(shape, 7, np.uint8)).shape == (4, 6, 3)


def test_a_picture_is_written_straight_into_the_room_that_is_given() -> None:
    given = np.zeros((4, 6, 3), np.uint8)
    picture = np.full((4, 6, 3), (1, 2, 3), np.uint8)
    rgb = to_rgb(cv2, picture, lambda _: given)
    assert np.shares_memory(rgb, given)
    assert given[0, 0].tolist() == [3, 2, 1]
    assert not rgb.flags.writeable


@pytest.mark.parametrize("picture", [np.zeros((4, 6, 2), np.uint8), np.zeros((0, 6, 3), np.uint8)])
def test_strange_pictures_are_refused(picture: NDArray[np.uint8]) -> None:
    with pytest.raises(DeviceError, match="8-bit"):
        to_rgb(cv2, picture)


@pytest.mark.parametrize(
    ("position_ms", "age_ns"), [(0.0, 0), (990.0, 10_000_000), (1100.0, 0), (-3.0, 0)]
)
def test_only_a_sensible_kernel_stamp_counts(position_ms: float, age_ns: int) -> None:
    assert age_from_kernel(position_ms, 1_000_000_000) == age_ns
