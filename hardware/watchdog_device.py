"""The Linux watchdog, `/dev/watchdog*`, through its ioctl interface. Opening it arms it.

Source: Linux uapi header watchdog.h; Documentation/watchdog/watchdog-api.rst.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import Final

from olympus.runtime.errors import DeviceError

_GETSUPPORT: Final = 0x80285700
_GETBOOTSTATUS: Final = 0x80045702
_KEEPALIVE: Final = 0x80045705
_SETTIMEOUT: Final = 0xC0045706
_GETTIMEOUT: Final = 0x80045707
_SETPRETIMEOUT: Final = 0xC0045708
_GETTIMELEFT: Final = 0x8004570A
_INFO: Final = struct.Struct("=II32s")
_INT: Final = struct.Struct("=i")
LONGEST_S: Final = 60
MAGIC: Final = b"V"
"""Written last, it lets closing disarm; unless the driver was loaded with nowayout."""


class Ability(IntFlag):
    """What a watchdog can do, or has done."""

    OVERHEAT = 0x1
    FAN_FAULT = 0x2
    POWER_UNDER = 0x10
    CARD_RESET = 0x20
    """Among the boot status: the last boot was the watchdog's doing."""
    POWER_OVER = 0x40
    SET_TIMEOUT = 0x80
    MAGIC_CLOSE = 0x100
    PRETIMEOUT = 0x200
    ALARM_ONLY = 0x400
    """It tells, and resets nothing."""
    KEEPALIVE = 0x8000


@dataclass(frozen=True, slots=True)
class Identity:
    """What a watchdog says of itself."""

    name: str
    abilities: Ability
    firmware: int


class WatchdogDevice:
    """An armed watchdog."""

    def __init__(self, path: str) -> None:
        """Open it: from here on it bites unless it is fed.

        Args:
            path: /dev/watchdog0; /dev/watchdog is the first one.

        Raises:
            DeviceError: It is missing, in use, no watchdog, or not ours to open.
        """
        try:
            self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            ways = {
                errno.ENOENT: "load the board's watchdog driver",
                errno.EBUSY: "something else feeds it: set RuntimeWatchdogSec=off for systemd",
                errno.EACCES: "put this user into the group `watchdog`, see hardware/udev",
            }
            way = ways.get(error.errno or 0, "see `olympus doctor`")
            raise DeviceError(f"{path}: {error.strerror}; {way}") from error
        self._path = path
        try:
            self.identity()
        except DeviceError as error:
            os.close(self._fd)  # and without the magic: that would be a letter in somebody's file
            raise DeviceError(f"{path} is no watchdog: {error}") from error

    def identity(self) -> Identity:
        """Ask what it is.

        Raises:
            DeviceError: It does not tell.
        """
        raw = self._ask(_GETSUPPORT, bytes(_INFO.size))
        options, firmware, name = _INFO.unpack(raw)
        return Identity(name.rstrip(b"\0").decode(errors="replace"), Ability(options), firmware)

    def boot_status(self) -> Ability:
        """Ask why the machine last started; CARD_RESET: this watchdog bit."""
        return Ability(max(0, self._number(_GETBOOTSTATUS, 0) or 0))

    def set_timeout(self, wanted_s: int) -> int:
        """Set the time after which it bites; the shortest it takes that is not shorter.

        Args:
            wanted_s: Whole seconds.

        Returns:
            What it took: some hardware can't count as few seconds as one may want.

        Raises:
            DeviceError: It takes none up to a minute.
        """
        for timeout_s in range(wanted_s, LONGEST_S + 1):
            taken_s = self._number(_SETTIMEOUT, timeout_s)
            if taken_s is not None:
                return taken_s
        raise DeviceError(f"{self._path} takes no timeout of {wanted_s} to {LONGEST_S} s")

    def timeout_s(self) -> int | None:
        """Ask after how many seconds it bites; None where it does not tell."""
        return self._number(_GETTIMEOUT, 0)

    def set_pretimeout(self, before_s: int) -> bool:
        """Let it interrupt so many seconds before it bites; False where it can't."""
        return self._number(_SETPRETIMEOUT, before_s) is not None

    def left_s(self) -> int | None:
        """Ask how many seconds are left; None where it can't tell, as i6300esb."""
        return self._number(_GETTIMELEFT, 0)

    def ping(self) -> None:
        """Feed it.

        Raises:
            DeviceError: It is gone.
        """
        self._ask(_KEEPALIVE, bytes(_INT.size))

    def close(self, *, disarm: bool) -> None:
        """Let go of it.

        Args:
            disarm: Stop it first, which `nowayout` forbids. Else it goes on and bites; closing
                makes the kernel feed it once more.

        Raises:
            DeviceError: It can't be told to disarm.
        """
        try:
            if disarm:
                os.write(self._fd, MAGIC)
        except OSError as error:
            raise DeviceError(f"{self._path} can't be disarmed: {error.strerror}") from error
        finally:
            os.close(self._fd)

    def _number(self, request: int, value: int) -> int | None:
        try:
            raw = fcntl.ioctl(self._fd, request, _INT.pack(value))
        except OSError as error:
            if error.errno in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY):
                return None
            raise DeviceError(f"{self._path}: {error.strerror}") from error
        return int(_INT.unpack(raw)[0])

    def _ask(self, request: int, raw: bytes) -> bytes:
        try:
            return fcntl.ioctl(self._fd, request, raw)
        except OSError as error:
            raise DeviceError(f"{self._path}: {error.strerror}") from error


def is_nowayout(path: str, sysfs: Path = Path("/sys/class/watchdog")) -> bool | None:
    """Tell whether this watchdog can't be disarmed any more; None where the kernel doesn't say."""
    name = Path(path).resolve().name
    try:
        text = (sysfs / ("watchdog0" if name == "watchdog" else name) / "nowayout").read_text()
    except OSError:
        return None
    return text.strip() == "1"
