"""The simulator's camera, microphone and base, as any node opens them: `sim://…`.

Importing this file registers the scheme `sim` and the simulator's message types. Sources:
`sim://front?fps=15&width=160&height=120`, `sim://mic`, `sim://base`; the option `socket=PATH`
names a simulator outside the running session.
"""

from __future__ import annotations

import time
from typing import ClassVar

import numpy as np

from olympus.drivers.base import (
    STALL_S,
    AudioBlock,
    BaseState,
    Camera,
    CameraFormat,
    Frame,
    Microphone,
    RoverBase,
)
from olympus.drivers.registry import register
from olympus.runtime.clock import Clock
from olympus.runtime.config import Session
from olympus.runtime.errors import DeviceError, StallError
from olympus.sim import figures, link
from olympus.sim import messages as messages
from olympus.sim.line import Line
from olympus.sim.link import Kind


class SimCamera(Camera):
    """The rover's camera."""

    def __init__(
        self,
        location: str,
        *,
        clock: Clock,
        session: Session | None = None,
        fps: float = 15.0,
        width: int = 160,
        height: int = 120,
        socket: str = "",
    ) -> None:
        """Describe the camera; nothing is opened yet.

        Args:
            location: A name for messages, such as `front`.
            clock: Not read: the simulator stamps its pictures, in the same robot time.
            session: The running session, to find the simulator.
            fps: Pictures a second, 0.1..50.
            width: Columns, even.
            height: Rows, even.
            socket: Path of the simulator's socket, if it isn't the session's.
        """
        self._line = Line(f"sim://{location}", session, socket, depth=1)
        self._format = CameraFormat(width, height, float(fps))

    def open(self) -> None:
        """Connect to the simulator.

        Raises:
            DeviceError: No simulator answers, or it refuses the format.
        """
        if not self._line.is_open:
            wish = {
                "width": self._format.width,
                "height": self._format.height,
                "fps": self._format.fps,
            }
            self._line.open({"device": "camera", **wish})

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def read(self, timeout_s: float = STALL_S) -> Frame:
        """Wait for the next picture.

        Raises:
            StallError: None came in time.
            DeviceError: It is closed, or the simulator has gone.
        """
        packet = self._line.next(timeout_s).value
        rows, columns = self._format.height, self._format.width
        if len(packet.payload) != rows * columns * 3:
            raise DeviceError(
                f"{self._line.name}: a picture of {len(packet.payload)} bytes is not "
                f"{columns}x{rows}; are both sides of the same version?"
            )
        rgb = self.room((rows, columns, 3))
        rgb[:] = np.frombuffer(packet.payload, np.uint8).reshape(rgb.shape)
        rgb.flags.writeable = False
        return Frame(rgb, packet.stamp_ns)

    @property
    def is_noisy(self) -> bool:
        """It has a sensor's noise."""
        return True

    @property
    def applied(self) -> CameraFormat | None:
        """What it delivers; None while it is closed."""
        return self._format if self._line.is_open else None


class SimMicrophone(Microphone):
    """The rover's microphone: blocks of 100 ms at 16 kHz."""

    def __init__(
        self, location: str, *, clock: Clock, session: Session | None = None, socket: str = ""
    ) -> None:
        """Describe the microphone; nothing is opened yet. For the arguments see SimCamera."""
        self._line = Line(f"sim://{location}", session, socket, depth=50)
        self._rate_hz = 16_000
        self._expected_ns = 0
        self._lost = 0

    def open(self) -> None:
        """Connect to the simulator.

        Raises:
            DeviceError: No simulator answers.
        """
        if not self._line.is_open:
            facts = self._line.open({"device": "microphone"})
            rate = facts.get("rate_hz")
            self._rate_hz = rate if isinstance(rate, int) else self._rate_hz
            self._expected_ns = self._lost = 0

    def close(self) -> None:
        """Hang up."""
        self._line.close()

    def read(self, timeout_s: float = STALL_S) -> AudioBlock:
        """Wait for the next block.

        Raises:
            StallError: None came in time.
            DeviceError: It is closed, or the simulator has gone.
        """
        packet = self._line.next(timeout_s).value
        samples = np.frombuffer(packet.payload, np.int16)
        duration_ns = len(samples) * 1_000_000_000 // self._rate_hz
        gap_ns = packet.stamp_ns - self._expected_ns
        if self._expected_ns and gap_ns > duration_ns // 2:
            self._lost += round(gap_ns * self._rate_hz / 1e9)
        self._expected_ns = packet.stamp_ns + duration_ns
        return AudioBlock(samples, self._rate_hz, packet.stamp_ns)

    @property
    def lost_samples(self) -> int:
        """Samples lost since `open`."""
        return self._lost


class SimRoverBase(RoverBase):
    """The rover's motors, encoders, IMU, range sensors and battery."""

    wheel_radius_m: float = figures.WHEEL_RADIUS_M
    track_m: float = figures.TRACK_M
    _NEUTRAL: ClassVar[bytes] = link.frame(Kind.NEUTRAL)

    def __init__(
        self, location: str, *, clock: Clock, session: Session | None = None, socket: str = ""
    ) -> None:
        """Describe the base; nothing is opened yet. For the arguments see SimCamera."""
        self._line = Line(f"sim://{location}", session, socket, depth=1)
        self._bearings = np.zeros(0, np.float32)
        self._range_max_m = 0.0

    def open(self) -> None:
        """Connect to the simulator and wait for its first measurement.

        Raises:
            DeviceError: No simulator answers.
            StallError: It answers but measures nothing.
        """
        if self._line.is_open:
            return
        facts = self._line.open({"device": "base"})
        bearings, far = facts.get("bearings_rad"), facts.get("range_max_m")
        if isinstance(bearings, list) and isinstance(far, float):
            self._bearings, self._range_max_m = np.array(bearings, np.float32), far
        try:
            self._line.next(STALL_S)
        except DeviceError:
            self._line.close()
            raise

    def close(self) -> None:
        """Hang up; the simulated motors brake."""
        self._line.close()

    def command(self, left_radps: float, right_radps: float) -> None:
        """Ask for wheel speeds, positive ahead; return at once.

        Raises:
            DeviceError: It is closed, or the simulator takes none.
        """
        self._line.send(link.frame_command(left_radps, right_radps))

    def neutral(self) -> None:
        """Stop both wheels; safe from any thread, waits on nothing, never fails."""
        try:
            self._line.send(self._NEUTRAL)
        except DeviceError:
            self._line.cut()

    def state(self) -> BaseState:
        """Return the newest measurement.

        Raises:
            StallError: The newest one is older than a second.
            DeviceError: It is closed.
        """
        packet = self._line.newest()
        if packet is None or time.monotonic() - self._line.newest_at > STALL_S:
            if not self._line.is_open:
                raise DeviceError(f"{self._line.name}: it is closed; call open() first")
            raise StallError(
                f"{self._line.name}: no measurement for {STALL_S:g} s; close() and open() it again"
            )
        values = np.frombuffer(packet.payload, np.float64)
        numbers = [float(v) for v in values[:13]]
        return BaseState(
            left_radps=numbers[0],
            right_radps=numbers[1],
            left_rad=numbers[2],
            right_rad=numbers[3],
            accel_mps2=values[4:7].astype(np.float32),
            gyro_radps=values[7:10].astype(np.float32),
            bearings_rad=self._bearings,
            ranges_m=values[13:].astype(np.float32),
            range_max_m=self._range_max_m,
            voltage_v=numbers[10],
            current_a=numbers[11],
            charge=numbers[12],
            stamp_ns=packet.stamp_ns,
        )


register("camera", "sim", SimCamera)
register("microphone", "sim", SimMicrophone)
register("base", "sim", SimRoverBase)
