"""What a camera, a microphone and a rover base promise, real or simulated.

A device blocks, so a thread of the node that owns it calls it. It is made closed; `open` and
`close` may be called again and again, and `with` does both. Only `RoverBase.neutral` may be called
from any thread at any time. A device raises DeviceError when it is missing or refuses, StallError
when it gives nothing for a while; its node then closes it and opens it again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

STALL_S = 1.0
"""A device that has given nothing for so long has stalled."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture."""

    rgb: NDArray[np.uint8]
    """(H, W, 3) uint8, RGB, 0..255, row 0 at the top; nobody writes to it any more."""
    stamp_ns: int
    """Robot time of the capture."""


@dataclass(frozen=True, slots=True)
class CameraFormat:
    """What a camera really does, which may differ from what was asked."""

    width: int
    """Columns, pixels."""
    height: int
    """Rows, pixels."""
    fps: float
    """Frames per second; 0 where the device does not tell."""


@dataclass(frozen=True, slots=True)
class AudioBlock:
    """A piece of sound."""

    samples: NDArray[np.int16]
    """(n,) int16, mono."""
    rate_hz: int
    """Samples per second."""
    stamp_ns: int
    """Robot time of the first sample."""


@dataclass(frozen=True, slots=True)
class BaseState:
    """What a two-wheeled base measures; body frame x ahead, y left, z up (REP-103)."""

    left_radps: float
    """Measured turning rate of the left wheel, positive ahead."""
    right_radps: float
    """Measured turning rate of the right wheel, positive ahead."""
    left_rad: float
    """Angle the left wheel has turned since power-up, not wrapped."""
    right_rad: float
    """Angle the right wheel has turned since power-up, not wrapped."""
    accel_mps2: NDArray[np.float32]
    """(3,) float32, gravity included."""
    gyro_radps: NDArray[np.float32]
    """(3,) float32."""
    bearings_rad: NDArray[np.float32]
    """(n,) float32 direction of each range sensor, 0 = ahead, positive to the left."""
    ranges_m: NDArray[np.float32]
    """(n,) float32; `range_max_m` where nothing was hit, NaN where a sensor failed."""
    range_max_m: float
    """Farthest distance the range sensors see."""
    voltage_v: float
    """Battery voltage."""
    current_a: float
    """Battery current, positive while it is drained."""
    charge: float
    """Battery charge, 0..1."""
    stamp_ns: int
    """Robot time of the measurement."""


Room = Callable[[tuple[int, ...]], NDArray[np.uint8]]
"""Returns an array of a shape, uint8, C order, to write a picture into; from any thread."""


def fresh(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return new memory of a shape."""
    return np.empty(shape, np.uint8)


class Device(ABC):
    """Something that is opened, used by one thread, and closed."""

    @abstractmethod
    def open(self) -> None:
        """Make it ready; do nothing if it is.

        Raises:
            DeviceError: It is missing, busy, or refuses.
        """

    @abstractmethod
    def close(self) -> None:
        """Let it go; do nothing if it is closed. Never fails, never waits long."""

    def __enter__(self) -> Self:
        """Open it."""
        self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


class Camera(Device):
    """A source of pictures."""

    room: Room = staticmethod(fresh)
    """Where a picture is put: its node gives it memory that other hosts can see without a copy."""

    @abstractmethod
    def read(self, timeout_s: float = STALL_S) -> Frame:
        """Wait for the next picture; the newest one wins, older ones are left out.

        Args:
            timeout_s: How long to wait.

        Returns:
            A picture no earlier `read` has returned.

        Raises:
            StallError: None came in time.
            EndOfStream: A recording is over.
            DeviceError: It is closed, was unplugged, or gives nonsense.
        """

    @property
    def is_finite(self) -> bool:
        """Whether `read` will raise EndOfStream one day, as a recording that does not loop does."""
        return False

    @property
    def is_noisy(self) -> bool:
        """Whether its sensor's noise makes every picture differ: one that repeats is frozen."""
        return False

    @property
    def applied(self) -> CameraFormat | None:
        """What it really delivers, as far as the device tells; None while it is closed."""
        return None


class Microphone(Device):
    """A source of sound."""

    @abstractmethod
    def read(self, timeout_s: float = STALL_S) -> AudioBlock:
        """Wait for the next block; blocks follow each other without a gap or tell a loss.

        Args:
            timeout_s: How long to wait.

        Returns:
            The oldest block not returned yet.

        Raises:
            StallError: None came in time.
            EndOfStream: A recording is over.
            DeviceError: It is closed, was unplugged, or gives nonsense.
        """

    @property
    def is_finite(self) -> bool:
        """Whether `read` will raise EndOfStream one day, as a recording that does not loop does."""
        return False

    @property
    def lost_samples(self) -> int:
        """Samples lost since `open`, because nobody read them or the device overran."""
        return 0


class RoverBase(Device):
    """Two driven wheels and the sensors around them."""

    wheel_radius_m: float
    """Radius of a wheel, metres."""
    track_m: float
    """Distance between the wheels' middle lines, metres."""

    @abstractmethod
    def command(self, left_radps: float, right_radps: float) -> None:
        """Ask for wheel speeds, positive ahead; return at once.

        Raises:
            DeviceError: It is closed or does not take commands.
        """

    @abstractmethod
    def neutral(self) -> None:
        """Stop both wheels; safe from any thread, waits on nothing, never fails."""

    def neutral_line(self, hand: int = 0) -> tuple[str, bytes] | None:
        """Return a port, and the bytes that stop both wheels when anybody writes them there.

        A base has them when its motors go on with the last command while nobody talks to them.

        Args:
            hand: Who will write them: 0 the guardian, 1 the drive beside its motors' process.
        """
        del hand
        return None

    @abstractmethod
    def state(self) -> BaseState:
        """Return the newest measurement; never blocks long.

        Raises:
            StallError: The newest one is too old to be used.
            DeviceError: It is closed, was unplugged, or gives nonsense.
        """
