"""A live camera behind cv2.VideoCapture: one thread owns it, the newest frame wins.

A read of OpenCV may hang as long as it likes: only its own thread hangs with it. `read` gives up
after its own time, and `close` leaves a hanging thread to let the device go when it wakes up.
"""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from dataclasses import dataclass
from types import ModuleType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from olympus.drivers.base import STALL_S, Camera, CameraFormat, Frame
from olympus.drivers.opencv import load_opencv, to_rgb
from olympus.drivers.source import require_positive, without_secret
from olympus.runtime.clock import NS_PER_S, Clock
from olympus.runtime.config import Session
from olympus.runtime.errors import DeviceError, StallError

_CLOSE_WAIT_S = 0.2
"""How long `close` waits for the thread; a healthy one needs a frame's time."""


class Capture(Protocol):
    """The part of cv2.VideoCapture that is used."""

    def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
        """Wait for the next frame, BGR."""

    def get(self, prop: int) -> float:
        """Return a property."""

    def release(self) -> None:
        """Let the device go."""


@dataclass(slots=True)
class _Run:
    """What one capture thread shares with the camera: replaced as a whole by the next `open`."""

    stop: threading.Event
    changed: threading.Condition
    thread: threading.Thread | None = None
    ready: bool = False
    applied: CameraFormat | None = None
    picture: NDArray[np.uint8] | None = None
    stamp_ns: int = 0
    error: DeviceError | None = None


class CaptureCamera(Camera):
    """Base of the cameras that OpenCV opens; a subclass says how."""

    open_timeout_s = 5.0
    """How long a device may take to open."""

    def __init__(
        self,
        location: str,
        *,
        clock: Clock,
        session: Session | None = None,
        fps: float | None = None,
        width: int | None = None,
        height: int | None = None,
    ) -> None:
        """Name a camera; it stays closed.

        Args:
            location: Which device.
            clock: Stamps the frames.
            session: Not used.
            fps: Frames per second to ask for; None leaves the device's own.
            width: Columns to ask for, pixels.
            height: Rows to ask for, pixels.

        Raises:
            ConfigError: A wish is no positive number.
        """
        require_positive(fps=fps, width=width, height=height)
        self.location = location
        self.fps, self.width, self.height = fps, width, height
        self.label = without_secret(location)
        self._clock = clock
        self._run: _Run | None = None
        self._stuck: threading.Thread | None = None

    @abstractmethod
    def make_capture(self, cv2: ModuleType) -> Capture:
        """Open the device; runs in the capture thread.

        Raises:
            DeviceError: It can't be opened.
        """

    def stamp(self, capture: Capture) -> int:
        """Return the robot time of the frame that was just read, ns."""
        return self._clock.now_ns()

    @property
    def applied(self) -> CameraFormat | None:
        """What the device really delivers; None while it is closed."""
        return self._run.applied if self._run else None

    def open(self) -> None:
        """Open the device; do nothing if it is open.

        Raises:
            DeviceError: It is missing, busy or refuses, or takes too long.
        """
        if self._run is not None:
            return
        if self._stuck is not None and self._stuck.is_alive():
            raise DeviceError(f"camera {self.label} still hangs in its driver; try again later")
        cv2 = load_opencv()
        run = _Run(threading.Event(), threading.Condition())
        name = f"capture {self.label}"[:40]
        run.thread = threading.Thread(target=self._work, args=(cv2, run), name=name, daemon=True)
        self._run = run
        run.thread.start()
        with run.changed:
            run.changed.wait_for(lambda: run.ready or run.error, self.open_timeout_s)
        if not run.ready:
            self.close()
            raise run.error or DeviceError(
                f"camera {self.label} did not open within {self.open_timeout_s:g} s;"
                " check its cable or address"
            )

    def close(self) -> None:
        """Let the device go; a thread that hangs in the driver does it later by itself."""
        run, self._run = self._run, None
        if run is None or run.thread is None:
            return
        run.stop.set()
        run.thread.join(_CLOSE_WAIT_S)
        if run.thread.is_alive():
            self._stuck = run.thread

    def read(self, timeout_s: float = STALL_S) -> Frame:
        """Wait for the next picture; the newest one wins.

        Raises:
            StallError: None came in time.
            DeviceError: The camera is closed or was lost.
        """
        run = self._run
        if run is None:
            raise DeviceError(f"camera {self.label} is closed; call open() first")
        with run.changed:
            run.changed.wait_for(lambda: run.picture is not None or run.error, timeout_s)
            picture, run.picture = run.picture, None
        if picture is not None:
            return Frame(to_rgb(load_opencv(), picture, self.room), run.stamp_ns)
        raise run.error or StallError(
            f"camera {self.label} gave no picture for {timeout_s:g} s; check its cable and power"
        )

    def _work(self, cv2: ModuleType, run: _Run) -> None:
        try:
            capture = self.make_capture(cv2)
        except DeviceError as error:
            _fail(run, error)
            return
        try:
            with run.changed:
                run.applied = _format_of(cv2, capture)
                run.ready = True
                run.changed.notify_all()
            self._pump(capture, run)
        except DeviceError as error:
            _fail(run, error)
        except cv2.error as error:
            _fail(run, DeviceError(f"camera {self.label}: {error}; reconnect it"))
        finally:
            capture.release()

    def _pump(self, capture: Capture, run: _Run) -> None:
        while not run.stop.is_set():
            asked_s = time.monotonic()
            ok, picture = capture.read()
            if not ok or picture is None:
                raise self._no_picture(time.monotonic() - asked_s)
            stamp_ns = self.stamp(capture)
            with run.changed:
                run.picture, run.stamp_ns = picture, stamp_ns
                run.changed.notify_all()

    def _no_picture(self, waited_s: float) -> DeviceError:
        if waited_s > STALL_S * 0.9:
            return StallError(f"camera {self.label} gave no picture for {waited_s:.1f} s")
        return DeviceError(f"camera {self.label} stopped delivering; was it unplugged?")


def age_from_kernel(position_ms: float, monotonic_ns: int) -> int:
    """Return how old a frame is by the kernel's stamp, in ns; 0 where that makes no sense.

    Args:
        position_ms: Kernel's stamp on CLOCK_MONOTONIC, ms.
        monotonic_ns: CLOCK_MONOTONIC now, ns.
    """
    age_ns = monotonic_ns - int(position_ms * 1e6)
    return age_ns if position_ms > 0 and 0 <= age_ns < NS_PER_S else 0


def _fail(run: _Run, error: DeviceError) -> None:
    with run.changed:
        run.error = error
        run.changed.notify_all()


def _format_of(cv2: ModuleType, capture: Capture) -> CameraFormat:
    fps = capture.get(cv2.CAP_PROP_FPS)
    return CameraFormat(
        width=int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
        height=int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
        fps=fps if 0 < fps < 1000 else 0.0,
    )
