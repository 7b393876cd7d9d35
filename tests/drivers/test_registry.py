from pathlib import Path

import numpy as np
import pytest

from olympus.drivers.base import STALL_S, Camera, Frame
from olympus.drivers.camera import V4l2Camera
from olympus.drivers.camera_file import FolderCamera, VideoFileCamera
from olympus.drivers.registry import (
    known_schemes,
    make_base,
    make_camera,
    make_microphone,
    open_camera,
    register,
)
from olympus.runtime.clock import Clock, SystemClock
from olympus.runtime.config import Session
from olympus.runtime.errors import ConfigError, DeviceError


class GreyCamera(Camera):
    """A camera of one shade."""

    def __init__(
        self, location: str, *, clock: Clock, session: Session | None, shade: int = 0
    ) -> None:
        self.location, self.shade, self.clock = location, shade, clock
        self.is_open = False

    def open(self) -> None:
        self.is_open = True

    def close(self) -> None:
        self.is_open = False

    def read(self, timeout_s: float = STALL_S) -> Frame:
        return Frame(np.full((2, 2, 3), self.shade, np.uint8), self.clock.now_ns())


def test_a_registered_device_gets_its_place_and_its_options() -> None:
    register("camera", "grey", GreyCamera)
    camera = make_camera("grey://left?shade=9", clock=SystemClock())
    assert isinstance(camera, GreyCamera)
    assert (camera.location, camera.shade, camera.is_open) == ("left", 9, False)
    assert "grey" in known_schemes("camera")


def test_options_of_the_caller_win() -> None:
    register("camera", "grey", GreyCamera)
    with open_camera("grey://left?shade=9", clock=SystemClock(), shade=3) as camera:
        assert camera.read().rgb.max() == 3
        assert isinstance(camera, GreyCamera)
        assert camera.is_open
    assert not camera.is_open


def test_an_unknown_scheme_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"did you mean 'rtsp'\?.*v4l2"):
        make_camera("rstp://host/cam", clock=SystemClock())
    with pytest.raises(ConfigError, match="plugins"):
        make_base("warp://drive", clock=SystemClock())


def test_an_unknown_option_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="did you mean 'width'"):
        make_camera("/dev/video0?widht=160", clock=SystemClock())


def test_a_factory_of_the_wrong_kind_is_told(tmp_path: Path) -> None:
    register("microphone", "grey", GreyCamera)
    with pytest.raises(ConfigError, match="GreyCamera"):
        make_microphone("grey://left", clock=SystemClock())


def test_built_in_devices_are_found_by_what_the_source_looks_like(tmp_path: Path) -> None:
    clock = SystemClock()
    assert isinstance(make_camera(0, clock=clock), V4l2Camera)
    assert isinstance(make_camera("/dev/video7", clock=clock), V4l2Camera)
    assert isinstance(make_camera(str(tmp_path), clock=clock), FolderCamera)
    assert isinstance(make_camera("clip.mp4?loop=1", clock=clock, loop=True), VideoFileCamera)


def test_every_built_in_factory_can_be_imported() -> None:
    clock = SystemClock()
    for source in ("csi://0", "gst:videotestsrc", "rtsp://host/x", "rtsps://host/x", "folder://x"):
        make_camera(source, clock=clock)
    for source in ("portaudio://default", "sound.wav"):
        make_microphone(source, clock=clock)


def test_a_missing_device_is_told_with_what_there_is() -> None:
    with pytest.raises(DeviceError, match="there is no /dev/video97"):
        open_camera(97, clock=SystemClock())
