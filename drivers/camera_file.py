"""Recordings as cameras: a video file at its own pace, or a folder of pictures."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from olympus.drivers.base import STALL_S, Camera, CameraFormat, Frame
from olympus.drivers.opencv import load_opencv, resize, to_rgb
from olympus.drivers.source import require_positive
from olympus.runtime.clock import Clock
from olympus.runtime.config import Session
from olympus.runtime.errors import ConfigError, DeviceError, EndOfStream, StallError

_PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
_LATE_S = 1.0
"""A reader that is later than this was paused: the recording waits for it."""


class RecordedCamera(Camera):
    """Plays pictures in real time, from the first `read` on; a slow reader misses some."""

    def __init__(
        self,
        location: str,
        *,
        clock: Clock,
        session: Session | None = None,
        loop: bool = False,
        fps: float | None = None,
        width: int | None = None,
        height: int | None = None,
    ) -> None:
        """Name a recording; it stays closed.

        Args:
            location: Path of the file or folder.
            clock: Stamps the frames with the time they are given out.
            session: Not used.
            loop: Whether it starts over at its end.
            fps: Pictures per second; see the subclass.
            width: Columns to scale to, pixels; None keeps the aspect, or the size.
            height: Rows to scale to, pixels.

        Raises:
            ConfigError: A value is not usable.
        """
        require_positive(fps=fps, width=width, height=height)
        if not isinstance(loop, bool):
            raise ConfigError(f"loop={loop!r}: must be true or false")
        self.path = Path(location).expanduser()
        self.loop, self.fps, self.width, self.height = loop, fps, width, height
        self._clock = clock
        self._closed = threading.Event()
        self._closed.set()
        self._applied: CameraFormat | None = None
        self._start_s: float | None = None
        self._tick = 0

    @abstractmethod
    def open_recording(self, cv2: ModuleType) -> float:
        """Make the recording ready and return the pictures per second to play.

        Raises:
            DeviceError: It can't be read.
        """

    @abstractmethod
    def picture(self, cv2: ModuleType, tick: int) -> NDArray[np.uint8] | None:
        """Return the picture due at `tick` ticks of the played rate, BGR; None beyond the end.

        Raises:
            DeviceError: It can't be read.
        """

    @property
    def is_finite(self) -> bool:
        """Whether it ends: it does unless it loops."""
        return not self.loop

    @property
    def applied(self) -> CameraFormat | None:
        """Size and pace it is played with; the size is 0 x 0 before the first picture."""
        return self._applied

    def open(self) -> None:
        """Make it ready at its first picture; do nothing if it is open.

        Raises:
            DeviceError: It is missing or can't be read.
        """
        if self._applied is not None:
            return
        cv2 = load_opencv()
        self._applied = CameraFormat(0, 0, self.open_recording(cv2))
        self._start_s, self._tick = None, 0
        self._closed.clear()

    def close(self) -> None:
        """End it; a `read` in another thread gives up."""
        self._closed.set()
        self._applied = None

    def read(self, timeout_s: float = STALL_S) -> Frame:
        """Wait until the next picture is due.

        Raises:
            StallError: None is due within `timeout_s`.
            EndOfStream: The last one has been given.
            DeviceError: It is closed or can't be read.
        """
        applied = self._applied
        if applied is None:
            raise DeviceError(f"{self.path} is closed; call open() first")
        tick = self._await_tick(applied.fps, timeout_s)
        cv2 = load_opencv()
        picture = self.picture(cv2, tick)
        if picture is None:
            raise EndOfStream(f"{self.path} has come to its end; loop=true starts it over")
        self._tick = tick + 1
        rgb = to_rgb(cv2, resize(cv2, picture, self.width, self.height), self.room)
        self._applied = CameraFormat(rgb.shape[1], rgb.shape[0], applied.fps)
        return Frame(rgb, self._clock.now_ns())

    def _await_tick(self, rate_hz: float, timeout_s: float) -> int:
        now_s = time.monotonic()
        if self._start_s is None:
            self._start_s = now_s
        late_s = now_s - (self._start_s + self._tick / rate_hz)
        if late_s > max(_LATE_S, 2 / rate_hz):
            self._start_s += late_s
        tick = max(self._tick, int((now_s - self._start_s) * rate_hz))
        wait_s = self._start_s + tick / rate_hz - now_s
        if self._closed.wait(min(max(wait_s, 0.0), timeout_s)):
            raise DeviceError(f"{self.path} was closed while it was read")
        if wait_s > timeout_s:
            raise StallError(
                f"{self.path} plays {rate_hz:g} pictures per second: none is due within"
                f" {timeout_s:g} s; wait longer or raise fps"
            )
        return tick


class VideoFileCamera(RecordedCamera):
    """A video file at its own frame rate; `fps` below it leaves frames out, time stays real."""

    def open_recording(self, cv2: ModuleType) -> float:
        """Open the file.

        Raises:
            DeviceError: It is missing, or no video that OpenCV can read.
        """
        if not self.path.is_file():
            raise DeviceError(f"there is no video file {self.path}; check the path")
        self._capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        own = self._capture.get(cv2.CAP_PROP_FPS)
        if not self._capture.isOpened():
            raise DeviceError(f"{self.path} is no video that OpenCV can read; try an .mp4 or .avi")
        self._own_fps = own if 0 < own < 1000 else 25.0
        self._next = 0
        rate_hz = min(self.fps or self._own_fps, self._own_fps)
        self._frames_per_tick = self._own_fps / rate_hz
        return rate_hz

    def close(self) -> None:
        """End it."""
        if self._applied is not None:
            self._capture.release()
        super().close()

    def picture(self, cv2: ModuleType, tick: int) -> NDArray[np.uint8] | None:
        """Return the frame due at `tick`; frames before it are skipped."""
        wanted = int(tick * self._frames_per_tick + 1e-6)
        while self._next < wanted:
            if not self._advance(cv2):
                return None
        if not self._advance(cv2):
            return None
        ok, frame = self._capture.retrieve()
        return frame if ok else None

    def _advance(self, cv2: ModuleType) -> bool:
        if self._capture.grab():
            self._next += 1
            return True
        if not self.loop:
            return False
        self._capture.release()
        self._capture = cv2.VideoCapture(str(self.path), cv2.CAP_FFMPEG)
        self._next += 1
        return bool(self._capture.grab())


class FolderCamera(RecordedCamera):
    """The pictures of a folder in the order of their names, `fps` of them a second (10)."""

    def open_recording(self, cv2: ModuleType) -> float:
        """List the pictures.

        Raises:
            DeviceError: There is no such folder, or no picture in it.
        """
        if not self.path.is_dir():
            raise DeviceError(f"there is no folder {self.path}; check the path")
        self._files = sorted(p for p in self.path.iterdir() if p.suffix.lower() in _PICTURES)
        if not self._files:
            kinds = " ".join(sorted(_PICTURES))
            raise DeviceError(f"folder {self.path} holds no picture ({kinds})")
        return float(self.fps or 10.0)

    def picture(self, cv2: ModuleType, tick: int) -> NDArray[np.uint8] | None:
        """Read the picture due at `tick`.

        Raises:
            DeviceError: The file holds no picture.
        """
        if tick >= len(self._files) and not self.loop:
            return None
        path = self._files[tick % len(self._files)]
        picture: NDArray[np.uint8] | None = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise DeviceError(f"{path} holds no picture that OpenCV can read; remove it")
        return picture
