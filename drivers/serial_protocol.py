"""The line protocol between a computer and the motor controller of a two-wheeled base.

One frame is one line of printable ASCII, so that it can be read in a terminal and no byte of it can
interrupt the prompt of a MicroPython board (0x03 would):

    $BODY*CCCC\\n     CCCC: CRC-16/CCITT-FALSE of BODY, four hex digits, upper case

BODY is a letter and whole numbers between commas; an empty field means "not known". Wheels are left
before right, positive ahead; the body frame is x ahead, y left, z up.

    computer -> controller
    W,seq,left,right     turn the wheels; mrad/s
    N,seq                neutral: brake, and be ready to move again
    Q                    tell what you are

    controller -> computer
    I,1,radius,track,range_max,bearing...     version of this protocol; um, um, mm, mrad each;
                                              once a second, and when asked
    S,seq,uptime,flags,left,right,left_angle,right_angle,ax,ay,az,gx,gy,gz,voltage,current,charge,
      range...           what it measures, 50 times a second: newest seq heard, ms, bits of `Flag`,
                         mrad/s, mrad since power-up, mm/s2, mrad/s, mV, mA, 1/1000, mm each

`seq` counts commands modulo 65536. A controller starts at neutral with the flag BOOT, goes to
neutral by itself when it hears no good W or N for its time-out (200 ms in the reference firmware),
and then, as after any flag of `BLOCKING`, refuses W until N was heard.

Source: CRC-16/CCITT-FALSE (CRC-16/IBM-3740), Greg Cook's catalogue of parametrised CRC algorithms.
"""

from __future__ import annotations

import binascii
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from typing import Final

VERSION: Final = 1
SEQ_RANGE: Final = 65536
LONGEST_LINE: Final = 400
"""Bytes; a longer line is nonsense."""
_FRAME = re.compile(rb"\$([\x20-\x7e]*)\*([0-9A-F]{4})")
_NUMBER = re.compile(rb"-?[0-9]{1,12}")
_STATE_FIELDS = 16
_INFO_FIELDS = 4


class Flag(IntFlag):
    """What the controller says of itself."""

    BOOT = 1
    """It has just started."""
    SILENCE = 2
    """It heard no command for its time-out."""
    STUCK = 4
    """A motor was driven hard and its encoder did not count."""
    STOP = 8
    """Its stop input is open."""
    DRIVER = 16
    """A motor driver reports a fault, such as too much current or heat."""
    LOW_VOLTAGE = 32
    NO_IMU = 64


BLOCKING: Final = Flag.BOOT | Flag.SILENCE | Flag.STUCK | Flag.STOP | Flag.DRIVER
"""While one of these is set the motors are at neutral and W is refused."""


@dataclass(frozen=True, slots=True)
class ControllerInfo:
    """What a controller says it is built into."""

    wheel_radius_m: float
    track_m: float
    range_max_m: float
    """NaN where it has no range sensors."""
    bearings_rad: tuple[float, ...]
    """Direction of each range sensor, 0 = ahead, positive to the left."""


@dataclass(frozen=True, slots=True)
class ControllerState:
    """What a controller measures; NaN for what it does not know."""

    seq: int
    """The newest command it heard, 0..65535."""
    uptime_ms: int
    flags: Flag
    wheel_radps: tuple[float, float]
    wheel_rad: tuple[float, float]
    """Since its power-up."""
    accel_mps2: tuple[float, float, float]
    gyro_radps: tuple[float, float, float]
    voltage_v: float
    current_a: float
    charge: float
    ranges_m: tuple[float, ...]


Report = ControllerInfo | ControllerState


@dataclass(slots=True)
class LineCounts:
    """What a reader has seen."""

    frames: int = 0
    """Good ones."""
    bad_crc: int = 0
    malformed: int = 0
    """The CRC is right and the content is not: another version of the protocol."""
    foreign: int = 0
    """Lines that are no frame: cut ones, noise, what a boot loader prints."""
    overlong: int = 0

    @property
    def bad(self) -> int:
        """Lines that were no good frame."""
        return self.bad_crc + self.malformed + self.foreign + self.overlong


def frame(body: bytes) -> bytes:
    """Put a body between its marks, with its CRC."""
    return b"$%s*%04X\n" % (body, binascii.crc_hqx(body, 0xFFFF))


def encode_speeds(seq: int, left_radps: float, right_radps: float) -> bytes:
    """Return the frame that asks for wheel speeds.

    Args:
        seq: Number of the command; counted modulo 65536.
        left_radps: Finite, positive ahead.
        right_radps: Finite, positive ahead.
    """
    left, right = round(left_radps * 1000), round(right_radps * 1000)
    return frame(b"W,%d,%d,%d" % (seq % SEQ_RANGE, left, right))


def encode_neutral(seq: int) -> bytes:
    """Return the frame that brings the motors to neutral."""
    return frame(b"N,%d" % (seq % SEQ_RANGE))


def encode_query() -> bytes:
    """Return the frame that asks a controller what it is."""
    return frame(b"Q")


class ReportReader:
    """Turns bytes nobody vouches for into reports; what is no good frame is counted and left."""

    def __init__(self) -> None:
        self.counts = LineCounts()
        self._line = bytearray()
        self._is_overlong = False

    def feed(self, data: bytes) -> Iterator[Report]:
        """Take in bytes as they come; never fails.

        Args:
            data: Any bytes, cut anywhere.

        Yields:
            The reports that are complete now, oldest first.
        """
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._add(line)
            report = self._end_line()
            if report is not None:
                yield report
        self._add(rest)

    def _add(self, piece: bytes) -> None:
        self._line += piece
        if len(self._line) > LONGEST_LINE:
            self._is_overlong = True
            self._line.clear()

    def _end_line(self) -> Report | None:
        line, self._line = bytes(self._line), bytearray()
        if self._is_overlong:
            self._is_overlong = False
            self.counts.overlong += 1
            return None
        # A frame that was cut has its successor in the same line.
        return (
            self._report(line[max(line.rfind(b"$"), 0) :].rstrip(b"\r")) if line.strip() else None
        )

    def _report(self, line: bytes) -> Report | None:
        match = _FRAME.fullmatch(line)
        if match is None:
            self.counts.foreign += 1
            return None
        if binascii.crc_hqx(match[1], 0xFFFF) != int(match[2], 16):
            self.counts.bad_crc += 1
            return None
        report = decode(match[1])
        if report is None:
            self.counts.malformed += 1
        else:
            self.counts.frames += 1
        return report


def decode(body: bytes) -> Report | None:
    """Return the report in a frame's body, or None where it is none."""
    kind, *texts = body.split(b",")
    if not all(text == b"" or _NUMBER.fullmatch(text) for text in texts):
        return None
    numbers = [int(text) if text else None for text in texts]
    if kind == b"S":
        return _state(numbers)
    return _info(numbers) if kind == b"I" else None


def _info(numbers: list[int | None]) -> ControllerInfo | None:
    if len(numbers) < _INFO_FIELDS or numbers[0] != VERSION:
        return None
    radius_m, track_m = _scaled(numbers[1:3], 1e6)
    bearings = _scaled(numbers[4:], 1e3)
    if not (radius_m > 0 and track_m > 0 and all(map(math.isfinite, bearings))):
        return None
    return ControllerInfo(radius_m, track_m, _scaled(numbers[3:4], 1e3)[0], bearings)


def _state(numbers: list[int | None]) -> ControllerState | None:
    if len(numbers) < _STATE_FIELDS:
        return None
    seq, uptime_ms, flags = numbers[:3]
    if seq is None or uptime_ms is None or flags is None:
        return None
    if not (0 <= seq < SEQ_RANGE and uptime_ms >= 0 and flags >= 0):
        return None
    values = _scaled(numbers[3:], 1e3)
    return ControllerState(
        seq=seq,
        uptime_ms=uptime_ms,
        flags=Flag(flags),
        wheel_radps=(values[0], values[1]),
        wheel_rad=(values[2], values[3]),
        accel_mps2=(values[4], values[5], values[6]),
        gyro_radps=(values[7], values[8], values[9]),
        voltage_v=values[10],
        current_a=values[11],
        charge=values[12],
        ranges_m=values[13:],
    )


def _scaled(numbers: list[int | None], per_unit: float) -> tuple[float, ...]:
    return tuple(math.nan if number is None else number / per_unit for number in numbers)
