"""A serial port that never makes anybody wait; standard library only, for the guardian."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import termios
from typing import Final

from olympus.runtime.errors import ConfigError, DeviceError

BACKLOG: Final = 64
"""Bytes that may wait to be sent; more would go on arriving after their sender has died."""

SPEEDS: Final = {
    9600: termios.B9600,
    57600: termios.B57600,
    115200: termios.B115200,
    230400: termios.B230400,
    460800: termios.B460800,
    921600: termios.B921600,
}
_IFLAG, _OFLAG, _CFLAG, _LFLAG, _ISPEED, _OSPEED, _CC = range(7)


class SerialPort:
    """A terminal device in raw mode, opened without waiting for a carrier."""

    def __init__(self, path: str, baud: int = 115200) -> None:
        """Open the device for this process alone.

        Args:
            path: Best a stable name, /dev/serial/by-id/…
            baud: Speed; a USB port ignores it.

        Raises:
            ConfigError: Such a speed is not supported.
            DeviceError: It is missing, no terminal, in use, or not ours to open.
        """
        if baud not in SPEEDS:
            known = ", ".join(str(one) for one in SPEEDS)
            raise ConfigError(f"baud={baud} is not supported; known: {known}")
        flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            self._fd = os.open(path, flags)
        except OSError as error:
            way = "plug it in, or name another" if error.errno == 2 else "see `olympus doctor`"
            raise DeviceError(f"{path}: {error.strerror}; {way}") from error
        try:
            fcntl.ioctl(self._fd, termios.TIOCEXCL)
            self._make_raw(SPEEDS[baud])
        except (OSError, termios.error) as error:
            os.close(self._fd)
            raise DeviceError(f"{path} is no serial port that can be set up: {error}") from error
        self.skipped = 0
        """Writes that were left out since earlier ones still waited."""

    def read(self) -> bytes:
        """Return what has arrived, perhaps nothing.

        Raises:
            DeviceError: The device is gone.
        """
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise DeviceError(f"the serial port is gone: {error.strerror}") from error
        if not data:
            raise DeviceError("the serial port is gone: it was unplugged")
        return data

    def write(self, data: bytes) -> bool:
        """Hand bytes to the driver, or leave it when earlier ones still wait.

        Returns:
            Whether all of them were taken.

        Raises:
            DeviceError: The device is gone.
        """
        try:
            waiting = fcntl.ioctl(self._fd, termios.TIOCOUTQ, b"\0\0\0\0")
            if struct.unpack("i", waiting)[0] <= BACKLOG and os.write(self._fd, data) == len(data):
                return True
        except BlockingIOError:
            pass
        except OSError as error:
            raise DeviceError(f"the serial port is gone: {error.strerror}") from error
        self.skipped += 1
        return False

    def close(self) -> None:
        """Throw away what waits, so that closing does not wait for it, and close."""
        with contextlib.suppress(termios.error):
            termios.tcflush(self._fd, termios.TCIOFLUSH)
        os.close(self._fd)

    def _make_raw(self, speed: int) -> None:
        mode = termios.tcgetattr(self._fd)
        mode[_IFLAG] = mode[_OFLAG] = mode[_LFLAG] = 0
        mode[_CFLAG] = termios.CS8 | termios.CREAD | termios.CLOCAL
        mode[_ISPEED] = mode[_OSPEED] = speed
        # With 1, "nothing there" is an error of its own, and 0 bytes mean that it was hung up.
        mode[_CC][termios.VMIN], mode[_CC][termios.VTIME] = 1, 0
        termios.tcsetattr(self._fd, termios.TCSANOW, mode)
        termios.tcflush(self._fd, termios.TCIOFLUSH)
