"""A rover base behind a motor controller on a serial port: `serial:///dev/serial/by-id/…`.

The protocol is in `serial_protocol.py`; `hardware/firmware` has a controller that speaks it, and
`python -m olympus.sim.motor_controller` plays one without hardware.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from contextlib import suppress

import numpy as np

from olympus.drivers.base import STALL_S, BaseState, RoverBase
from olympus.drivers.serial_port import SerialPort
from olympus.drivers.serial_protocol import (
    BLOCKING,
    SEQ_RANGE,
    ControllerInfo,
    ControllerState,
    Flag,
    LineCounts,
    ReportReader,
    encode_neutral,
    encode_query,
    encode_speeds,
)
from olympus.drivers.source import require_positive
from olympus.runtime.clock import Clock
from olympus.runtime.config import Session
from olympus.runtime.errors import ConfigError, DeviceError, StallError

DEAF_S = 0.5
"""A controller that acknowledged no command for so long does not hear us."""
NEUTRALS = 5
"""How often neutral is said at the end, while the controller does not acknowledge it."""
_ACK_S = 0.045  # two of its reports
_UNREAD_S = 0.1  # what has come just now may be the acknowledgement: its reader gets so long
_log = logging.getLogger(__name__)


class SerialRoverBase(RoverBase):
    """Two motors with encoders behind a controller that keeps their speed."""

    def __init__(
        self,
        location: str,
        *,
        clock: Clock,
        session: Session | None = None,
        baud: int = 115_200,
        wheel_radius_m: float | None = None,
        track_m: float | None = None,
        bearings_deg: str | float = "",
        range_max_m: float | None = None,
    ) -> None:
        """Describe the base; nothing is opened yet.

        Args:
            location: The serial device.
            clock: Stamps what arrives.
            session: Not used.
            baud: Bits per second; USB ports ignore it.
            wheel_radius_m: Instead of what the controller says.
            track_m: Instead of what the controller says.
            bearings_deg: Such as `-45,0,45`, directions of the range sensors, instead of what
                the controller says.
            range_max_m: Instead of what the controller says.

        Raises:
            ConfigError: A value is out of range.
        """
        if not location.startswith("/"):
            raise ConfigError(
                f"serial://{location}: give a device with three slashes, such as"
                " serial:///dev/serial/by-id/usb-…"
            )
        require_positive(
            baud=baud, wheel_radius_m=wheel_radius_m, track_m=track_m, range_max_m=range_max_m
        )
        self._device, self._baud, self._clock = location, baud, clock
        self._own = (wheel_radius_m, track_m, range_max_m)
        self._own_bearings = _bearings(bearings_deg)
        self.wheel_radius_m, self.track_m = wheel_radius_m or math.nan, track_m or math.nan
        self._port: SerialPort | None = None
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._seq = self._neutral_seq = 0
        self._trouble = ""
        """Why it could not be opened, for whoever asks next."""
        self._turned = _Turned()
        self._forget()

    @property
    def counts(self) -> LineCounts:
        """Lines that came, good and bad, since it was opened."""
        return self._reader.counts

    def neutral_line(self, hand: int = 0) -> tuple[str, bytes]:
        """Return the port, and a neutral frame whose number tells the hands apart."""
        return self._device, encode_neutral(SEQ_RANGE - 1 - hand)

    @property
    def flags(self) -> Flag:
        """What the controller said of itself in its newest report."""
        return self._state.flags if self._state is not None else Flag(0)

    def open(self) -> None:
        """Open the port and wait until the controller has said what it is and measures.

        Raises:
            DeviceError: The port is missing or busy, or geometry and reports do not fit.
            StallError: No controller speaks there.
        """
        if self._port is not None:
            return
        self._forget()
        try:
            port = self._port = SerialPort(self._device, self._baud, deliver=self._take)
            with suppress(DeviceError):  # what hears nothing says nothing: told below
                port.write(encode_query())
            self._await_reports(port)
            self._fit()
        except DeviceError as error:
            self.close()
            self._trouble = str(error)
            raise
        self._trouble = ""

    def close(self) -> None:
        """Bring the motors to neutral and let the port go."""
        port, self._port = self._port, None
        if port is not None:
            self._insist(port)
            port.close()

    def _insist(self, port: SerialPort) -> None:
        """Say neutral until the controller has acknowledged it, a few times at most."""
        for _ in range(NEUTRALS):
            port.write_urgent(self._next_neutral())
            until = time.monotonic() + _ACK_S
            with self._news:
                while self._awaits_neutral and time.monotonic() < until and not port.failure:
                    self._news.wait(_ACK_S / 4)
            if not self._awaits_neutral or port.failure:
                return

    def command(self, left_radps: float, right_radps: float) -> None:
        """Ask for wheel speeds, positive ahead; return at once.

        Raises:
            DeviceError: It is closed, unplugged, does not hear us, or refuses to move.
        """
        if not (math.isfinite(left_radps) and math.isfinite(right_radps)):
            raise DeviceError(f"{self._device}: {left_radps}, {right_radps} rad/s are no speeds")
        with self._lock:
            self._check_obedience()
            seq = self._count()
        self._needed_port().write(encode_speeds(seq, left_radps, right_radps))

    def neutral(self) -> None:
        """Stop both wheels; safe from any thread, waits on nothing, never fails."""
        port = self._port
        if port is not None:
            port.write_urgent(self._next_neutral())

    def state(self) -> BaseState:
        """Return the newest measurement.

        Raises:
            StallError: It is older than a second.
            DeviceError: It is closed or was unplugged.
        """
        port, state = self._needed_port(), self._state
        if port.failure:
            raise DeviceError(port.failure)
        if state is None or time.monotonic() - self._state_at > STALL_S:
            raise StallError(f"{self._device}: {self._silence()}")
        gyro = np.array(state.gyro_radps, np.float32)
        if math.isnan(state.gyro_radps[2]):  # no gyro: the wheels tell how it turns
            left, right = state.wheel_radps
            gyro[2] = (right - left) * self.wheel_radius_m / self.track_m
        left_rad, right_rad = self._turned.total_rad
        return BaseState(
            left_radps=state.wheel_radps[0],
            right_radps=state.wheel_radps[1],
            left_rad=left_rad,
            right_rad=right_rad,
            accel_mps2=np.array(state.accel_mps2, np.float32),
            gyro_radps=gyro,
            bearings_rad=self._bearings_rad,
            ranges_m=np.array(state.ranges_m, np.float32),
            range_max_m=self._range_max_m,
            voltage_v=state.voltage_v,
            current_a=state.current_a,
            charge=state.charge,
            stamp_ns=self._stamp_ns,
        )

    def _forget(self) -> None:
        self._reader = ReportReader()
        self._info: ControllerInfo | None = None
        self._state: ControllerState | None = None
        self._state_at = self._heard_at = 0.0
        self._stamp_ns = 0
        self._acked, self._awaits_neutral = self._seq, False
        self._bearings_rad = np.array(self._own_bearings or (), np.float32)
        self._range_max_m = self._own[2] or math.nan

    def _needed_port(self) -> SerialPort:
        port = self._port
        if port is None:
            raise DeviceError(self._trouble or f"{self._device}: it is closed; call open() first")
        return port

    def _count(self) -> int:
        if self._acked == self._seq:
            self._heard_at = time.monotonic()  # nothing was outstanding until now
        self._seq = (self._seq + 1) % SEQ_RANGE
        return self._seq

    def _next_neutral(self) -> bytes:
        # No lock: a stop waits on nothing. At worst two commands carry one number.
        self._seq = self._neutral_seq = (self._seq + 1) % SEQ_RANGE
        self._awaits_neutral = True
        return encode_neutral(self._neutral_seq)

    def _check_obedience(self) -> None:
        now = time.monotonic()
        if self._acked != self._seq and now - self._heard_at > DEAF_S:
            unread, unsent = self._needed_port().backlog
            if not unread or now - self._heard_at > DEAF_S + _UNREAD_S:
                raise DeviceError(f"{self._deafness(now, unread, unsent)} ({self._device})")
        if self.flags & BLOCKING and not self._awaits_neutral:
            raise DeviceError(
                f"{self._device}: the controller refuses to move: {_named(self.flags)};"
                " it moves again after neutral, once the cause is gone"
            )

    def _deafness(self, now: float, unread: int, unsent: int) -> str:
        """Say what is known of a controller that has acknowledged nothing for `DEAF_S`."""
        silent_ms = (now - self._state_at) * 1e3
        if unread:
            why = f"{unread} bytes of it wait unread here: this process starves"
        elif silent_ms > DEAF_S * 0.5e3:
            why = f"nothing came from it for {silent_ms:.0f} ms: look at cable, power, and load"
        else:
            why = "its reports come, so it does not hear us: check the wire from our TX to its RX"
        numbers = f"newest {self._seq}, acknowledged {self._acked}, {unsent} bytes unsent"
        return f"the controller acknowledges nothing; {why}; {numbers}"

    def _take(self, data: bytes) -> None:
        """Take in bytes; called by the port's reader."""
        now_ns = self._clock.now_ns()
        for report in self._reader.feed(data):
            with self._news:
                if isinstance(report, ControllerInfo):
                    self._info = report
                else:
                    self._note(report, now_ns)
                self._news.notify_all()

    def _note(self, state: ControllerState, now_ns: int) -> None:
        if state.flags != self.flags:
            is_news = self._state is not None and state.flags & ~Flag.BOOT
            text = _named(state.flags) or "all well"
            _log.log(logging.WARNING if is_news else logging.INFO, "%s: %s", self._device, text)
        now = time.monotonic()
        if state.seq != self._acked or state.seq == self._seq:
            self._acked, self._heard_at = state.seq, now
        if (state.seq - self._neutral_seq) % SEQ_RANGE < SEQ_RANGE // 2:
            self._awaits_neutral = False  # its flags are those after the newest neutral
        self._turned.add(state)
        self._state, self._state_at, self._stamp_ns = state, now, now_ns

    def _await_reports(self, port: SerialPort) -> None:
        deadline = time.monotonic() + 1.5 * STALL_S
        needs_info = self._own[0] is None or self._own[1] is None
        with self._news:
            while self._state is None or (needs_info and self._info is None):
                left_s = deadline - time.monotonic()
                if port.failure:
                    raise DeviceError(port.failure)
                if left_s <= 0 and self._state is not None:
                    raise StallError(
                        f"{self._device}: the controller does not say what it is built into;"
                        " give the options wheel_radius_m and track_m"
                    )
                if left_s <= 0:
                    raise StallError(f"{self._device}: {self._silence()}")
                self._news.wait(min(left_s, 0.1))

    def _silence(self) -> str:
        counts = self.counts
        if self._state is None and counts.frames == 0 and counts.bad:
            return f"{counts.bad} lines came and none is a good frame; is baud={self._baud} right?"
        return f"no report for {STALL_S:g} s; is it powered, and does its firmware run?"

    def _fit(self) -> None:
        radius_m, track_m, range_max_m = self._own
        info = self._info
        if info is not None:
            radius_m, track_m = radius_m or info.wheel_radius_m, track_m or info.track_m
            range_max_m = range_max_m or info.range_max_m
            if self._own_bearings is None:
                self._bearings_rad = np.array(info.bearings_rad, np.float32)
        self.wheel_radius_m, self.track_m = radius_m or math.nan, track_m or math.nan
        self._range_max_m = range_max_m or math.nan
        count = len(self._state.ranges_m) if self._state is not None else 0
        if count != len(self._bearings_rad):
            raise DeviceError(
                f"{self._device}: the controller reports {count} ranges and"
                f" {len(self._bearings_rad)} directions are known; set bearings_deg to theirs"
            )


class _Turned:
    """Wheel angles that go on across a restart of the controller, which begins again at 0."""

    def __init__(self) -> None:
        self.total_rad = (0.0, 0.0)
        self._offset = (0.0, 0.0)
        self._uptime_ms = -1

    def add(self, state: ControllerState) -> None:
        """Take in a report."""
        left, right = state.wheel_rad
        if state.uptime_ms < self._uptime_ms:
            self._offset = (self.total_rad[0] - left, self.total_rad[1] - right)
        self._uptime_ms = state.uptime_ms
        self.total_rad = (self._offset[0] + left, self._offset[1] + right)


def _named(flags: Flag) -> str:
    return ", ".join(str(flag.name).lower().replace("_", " ") for flag in flags)


def _bearings(text: str | float) -> tuple[float, ...] | None:
    if text == "":
        return None
    try:
        return tuple(math.radians(float(part)) for part in str(text).split(","))
    except ValueError:
        raise ConfigError(
            f"bearings_deg={text!r}: give numbers between commas, such as -45,0,45"
        ) from None
