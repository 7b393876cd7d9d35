"""Live cameras: V4L2 devices, CSI cameras and other GStreamer pipelines, RTSP streams."""

from __future__ import annotations

import time
from pathlib import Path
from types import ModuleType
from typing import Literal

from olympus.drivers.capture import Capture, CaptureCamera, age_from_kernel
from olympus.drivers.opencv import require_gstreamer
from olympus.runtime.clock import Clock
from olympus.runtime.config import Session
from olympus.runtime.errors import ConfigError, DeviceError, did_you_mean

_SINK = "appsink drop=true max-buffers=1 sync=false"
_JETSON = Path("/etc/nv_tegra_release")
_OPEN_TIMEOUT_MS = 5_000
_READ_TIMEOUT_MS = 1_000


class V4l2Camera(CaptureCamera):
    """A Linux video device, such as a USB camera: `/dev/video0` or `v4l2:///dev/v4l/by-id/…`."""

    def __init__(
        self,
        location: str,
        *,
        clock: Clock,
        session: Session | None = None,
        fps: float | None = None,
        width: int | None = None,
        height: int | None = None,
        fourcc: str = "",
    ) -> None:
        """Name the device; `fps`, `width`, `height` are wishes, `fourcc` a pixel format.

        Raises:
            ConfigError: A wish is unknown or not usable.
        """
        self.fourcc = str(fourcc)
        if self.fourcc and len(self.fourcc) != 4:
            raise ConfigError(f"fourcc={self.fourcc!r}: give four letters, such as MJPG or YUYV")
        device = f"/dev/video{location}" if location.isdecimal() else location
        super().__init__(device, clock=clock, fps=fps, width=width, height=height)

    @property
    def is_noisy(self) -> bool:
        """It is a sensor, and a sensor has noise."""
        return True

    def make_capture(self, cv2: ModuleType) -> Capture:
        """Open the device and ask for the format.

        Raises:
            DeviceError: It is missing, busy, or no camera.
        """
        if not Path(self.location).exists():
            found = [str(path) for path in sorted(Path("/dev").glob("video*"))]
            raise DeviceError(f"there is no {self.location}; {did_you_mean(self.location, found)}")
        capture = cv2.VideoCapture(self.location, cv2.CAP_V4L2)
        if not capture.isOpened():
            raise DeviceError(
                f"{self.location} can't be opened; is it busy, or are you not in the group"
                " 'video' (sudo usermod -aG video $USER)?"
            )
        if self.fourcc:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*self.fourcc))
        wishes = (
            (cv2.CAP_PROP_FRAME_WIDTH, self.width),
            (cv2.CAP_PROP_FRAME_HEIGHT, self.height),
            (cv2.CAP_PROP_FPS, self.fps),
        )
        for prop, wish in wishes:
            if wish is not None:
                capture.set(prop, wish)
        # Frames that wait in the kernel's queue are old frames.
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        self._position = cv2.CAP_PROP_POS_MSEC
        opened: Capture = capture
        return opened

    def stamp(self, capture: Capture) -> int:
        """Return when the kernel says the frame was captured, in robot time, ns."""
        age_ns = age_from_kernel(capture.get(self._position), time.monotonic_ns())
        return self._clock.now_ns() - age_ns


class GstCamera(CaptureCamera):
    """A GStreamer pipeline, written out: `gst:videotestsrc ! …`; an appsink is added if missing."""

    def pipeline(self) -> str:
        """Return the pipeline that will run."""
        if "appsink" in self.location:
            return self.location
        return f"{self.location} ! videoconvert ! video/x-raw,format=BGR ! {_SINK}"

    def make_capture(self, cv2: ModuleType) -> Capture:
        """Start the pipeline.

        Raises:
            DeviceError: This OpenCV has no GStreamer, or the pipeline does not start.
        """
        pipeline = self.pipeline()
        require_gstreamer(cv2, self.label)
        capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
        if not capture.isOpened():
            raise DeviceError(
                f"the pipeline does not start: {pipeline}; try it with: gst-launch-1.0 …"
            )
        opened: Capture = capture
        return opened


class CsiCamera(GstCamera):
    """A camera on the board's CSI port: `csi://0` or `csi://NAME?flip=2`."""

    def __init__(
        self,
        location: str,
        *,
        clock: Clock,
        session: Session | None = None,
        fps: float | None = None,
        width: int | None = None,
        height: int | None = None,
        via: Literal["auto", "nvargus", "libcamera"] = "auto",
        flip: int = 0,
    ) -> None:
        """Name the camera.

        Args:
            location: Its number, or with libcamera its name (`cam -l` lists them).
            clock: Stamps the frames.
            session: Not used.
            fps: Frames per second, 30 where left out.
            width: Columns, 640 where left out.
            height: Rows, 480 where left out.
            via: `nvargus` on a Jetson, `libcamera` elsewhere; `auto` looks which one this is.
            flip: nvvidconv's flip-method, 0..7.

        Raises:
            ConfigError: A value is not usable.
        """
        super().__init__(location or "0", clock=clock, fps=fps, width=width, height=height)
        if via not in ("auto", "nvargus", "libcamera"):
            raise ConfigError(f"via={via!r}: {did_you_mean(via, ['auto', 'nvargus', 'libcamera'])}")
        if flip not in range(8):
            raise ConfigError(f"flip={flip}: nvvidconv knows 0..7")
        self.is_jetson = _JETSON.exists() if via == "auto" else via == "nvargus"
        self.flip = flip
        self.label = f"csi://{self.location}"
        if not self.is_jetson and self.location.isdecimal() and int(self.location) > 0:
            raise ConfigError(
                f"csi://{self.location}: libcamera tells cameras apart by name, not number;"
                " give csi://NAME (cam -l lists the names)"
            )

    @property
    def is_noisy(self) -> bool:
        """It is a sensor, and a sensor has noise."""
        return True

    def pipeline(self) -> str:
        """Return the pipeline that will run."""
        width, height = self.width or 640, self.height or 480
        rate = f"{round(self.fps or 30)}/1"
        size = f"width={width},height={height},framerate={rate},format=NV12"
        if self.is_jetson:
            head = (
                f"nvarguscamerasrc sensor-id={self.location} ! video/x-raw(memory:NVMM),{size}"
                f" ! nvvidconv flip-method={self.flip} ! video/x-raw,format=BGRx"
            )
        else:
            name = "" if self.location.isdecimal() else f' camera-name="{self.location}"'
            head = f"libcamerasrc{name} ! video/x-raw,{size}"
        return f"{head} ! videoconvert ! video/x-raw,format=BGR ! {_SINK}"


class RtspCamera(CaptureCamera):
    """A network camera: `rtsp://user:password@host:554/path`, over TCP."""

    open_timeout_s = _OPEN_TIMEOUT_MS / 1000 + 1

    def make_capture(self, cv2: ModuleType) -> Capture:
        """Connect to the stream.

        Raises:
            DeviceError: Nobody answers, or the stream is refused.
        """
        timeouts = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            _OPEN_TIMEOUT_MS,
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            _READ_TIMEOUT_MS,
        ]
        capture = cv2.VideoCapture(self.location, cv2.CAP_FFMPEG, timeouts)
        if not capture.isOpened():
            raise DeviceError(
                f"{self.label} does not answer or refuses; check address, password and network"
            )
        opened: Capture = capture
        return opened
