"""One GPIO line as an input, through the kernel's character device; standard library only.

Source: Linux, include/uapi/linux/gpio.h, version 2 of the interface (Linux 5.10 and newer). The
structures are laid out alike on 32 and 64 bits.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import Final

from olympus.runtime.errors import DeviceError

CHIP_INFO: Final = 0x8044B401
LINE_INFO: Final = 0xC100B405
TAKE_LINE: Final = 0xC250B407
LINE_VALUES: Final = 0xC010B40E

_CHIP: Final = struct.Struct("=32s32sI")
"""name, label, lines."""
_INFO: Final = struct.Struct("=32s32sIIQ176x")
"""name, consumer, offset, number of attributes, flags; then attributes."""
_REQUEST: Final = struct.Struct("=I252x32sQI20x240xII20xi")
"""offset of the one line, consumer, flags, attributes, lines, size of the buffer, descriptor."""
_VALUES: Final = struct.Struct("=QQ")
"""bits, mask."""
_EVENT: Final = struct.Struct("=QIIII24x")
"""stamp (CLOCK_MONOTONIC), kind, offset, number among all lines, number of this line."""

_RISING: Final = 1
_MOST_EVENTS: Final = 16
_MOST_READS: Final = 16
"""A contact that chatters faster than it is read must not keep the guardian; the rest waits."""
_CONSUMER: Final = b"olympus stop input"


class Flags(IntFlag):
    """How a line is taken, as the kernel counts it."""

    USED = 1 << 0
    ACTIVE_LOW = 1 << 1
    INPUT = 1 << 2
    RISING = 1 << 4
    FALLING = 1 << 5
    PULL_UP = 1 << 8
    PULL_DOWN = 1 << 9
    NO_PULL = 1 << 10


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line is."""

    chip: Path
    """The chip's device."""
    offset: int
    """The line's number on it."""
    text: str
    """Both in words."""


class GpioLine:
    """A line that is read; the kernel keeps every change until it is asked for."""

    def __init__(self, place: Place, flags: Flags) -> None:
        """Take the line.

        Args:
            place: Which.
            flags: Pull and polarity; what it takes to read edges is added.

        Raises:
            DeviceError: It can't be had.
        """
        self.text = place.text
        """Chip and line in words."""
        wanted = flags | Flags.INPUT
        chip = _open(place.chip)
        try:
            self._descriptor, self._has_edges = _taken(chip, place, wanted)
        finally:
            os.close(chip)
        os.set_blocking(self._descriptor, False)

    def fileno(self) -> int | None:
        """Return what is readable when the line has changed; None where its chip can't tell."""
        return self._descriptor if self._has_edges else None

    def is_active(self) -> bool:
        """Read the line.

        Raises:
            DeviceError: It is gone.
        """
        try:
            raw = fcntl.ioctl(self._descriptor, LINE_VALUES, _VALUES.pack(0, 1))
        except OSError as error:
            raise DeviceError(f"{self.text} can't be read: {error.strerror}") from error
        return bool(_VALUES.unpack(raw)[0] & 1)

    def rose_ns(self) -> int | None:
        """Take the changes that the kernel has kept; return when the line last became active.

        Raises:
            DeviceError: It is gone.
        """
        rose_ns = None
        try:
            for _ in range(_MOST_READS):
                raw = os.read(self._descriptor, _EVENT.size * _MOST_EVENTS)
                for stamp_ns, kind, *_ in _EVENT.iter_unpack(raw):
                    rose_ns = stamp_ns if kind == _RISING else rose_ns
        except BlockingIOError:
            return rose_ns
        except OSError as error:
            raise DeviceError(f"{self.text} can't be read: {error.strerror}") from error
        return rose_ns

    def close(self) -> None:
        """Let go of the line."""
        os.close(self._descriptor)


def find(chip: str, line: str, devices: Path = Path("/dev")) -> Place:
    """Find a line by its name or number.

    Args:
        chip: The chip's device, kernel name or label; empty for any chip that has such a name.
        line: The line's name as the kernel has it, or its number where the chip is named.
        devices: Where the chips are.

    Returns:
        Where it is.

    Raises:
        DeviceError: There is none, there are two, or a chip can't be opened.
    """
    try:
        chips = sorted(devices.glob("gpiochip*"), key=lambda path: (len(path.name), path.name))
    except OSError as error:
        raise DeviceError(f"GPIO chips can't be looked for: {error.strerror}") from error
    found: list[Place] = []
    seen: list[str] = []
    for path in chips:
        name, label, count = _about(path)
        seen.append(f"{path} ({label})")
        if chip in ("", name, label, str(path)):
            found += (
                Place(path, offset, f"{path} ({label}) line {offset} {named!r}")
                for offset, named in _lines(path, count)
                if named == line or (chip and line == str(offset))
            )
    where = chip or "any GPIO chip"
    if not found:
        raise DeviceError(
            f"{where} has no line {line!r}; there are {', '.join(seen) or 'no GPIO chips'}; "
            "`gpioinfo` lists their lines"
        )
    if len({one.chip.resolve() for one in found}) > 1 or len({one.offset for one in found}) > 1:
        raise DeviceError(
            f"line {line!r} is there more than once: {'; '.join(one.text for one in found)}; "
            "name its chip too"
        )
    return found[0]


def _about(path: Path) -> tuple[str, str, int]:
    chip = _open(path)
    try:
        name, label, count = _CHIP.unpack(_asked(path, chip, CHIP_INFO, bytes(_CHIP.size)))
    finally:
        os.close(chip)
    return _text(name), _text(label), count


def _lines(path: Path, count: int) -> Iterator[tuple[int, str]]:
    chip = _open(path)
    try:
        for offset in range(count):
            raw = _asked(path, chip, LINE_INFO, _INFO.pack(b"", b"", offset, 0, 0))
            yield offset, _text(_INFO.unpack(raw)[0])
    finally:
        os.close(chip)


def _taken(chip: int, place: Place, wanted: Flags) -> tuple[int, bool]:
    """Take a line with edges, or without where the chip has no interrupts.

    Raises:
        DeviceError: It can't be had.
    """
    for edges in (Flags.RISING | Flags.FALLING, Flags(0)):
        asked = _REQUEST.pack(place.offset, _CONSUMER, wanted | edges, 0, 1, 0, 0)
        try:
            return _REQUEST.unpack(fcntl.ioctl(chip, TAKE_LINE, asked))[-1], bool(edges)
        except OSError as error:
            has_no_interrupt = error.errno in (errno.ENXIO, errno.EOPNOTSUPP, errno.ENOSYS, 524)
            if not (edges and has_no_interrupt):
                raise DeviceError(f"{place.text} {_refusal(error)}") from error
    raise DeviceError(f"{place.text} can't be taken")  # pragma: no cover  (the loop has ended)


def _refusal(error: OSError) -> str:
    if error.errno == errno.EBUSY:
        return "is used by another program or driver; `gpioinfo` says by which"
    return f"can't be taken as an input: {error.strerror}"


def _asked(path: Path, chip: int, request: int, raw: bytes) -> bytes:
    try:
        return fcntl.ioctl(chip, request, raw)
    except OSError as error:
        raise DeviceError(f"{path} is no GPIO chip, or too old: {error.strerror}") from error


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError as error:
        raise DeviceError(f"{path} may not be opened; add this user to the group gpio") from error
    except OSError as error:
        raise DeviceError(f"{path} can't be opened: {error.strerror}") from error


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode(errors="replace")
