"""A serial port that never makes anybody wait; standard library only, for the guardian."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import termios
import time
from typing import Final

from olympus.runtime.errors import ConfigError, DeviceError

LAST_WORDS_S: Final = 0.05
"""How long closing waits for what was written last, such as "open now"."""

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
            if self._waiting() <= BACKLOG and os.write(self._fd, data) == len(data):
                return True
        except BlockingIOError:
            pass
        except OSError as error:
            raise DeviceError(f"the serial port is gone: {error.strerror}") from error
        self.skipped += 1
        return False

    def close(self) -> None:
        """Let what was written last go out, and close; a port that takes nothing is not waited for.

        What still waits after `LAST_WORDS_S` is thrown away: the kernel would wait for it, for half
        a minute.
        """
        with contextlib.suppress(OSError, termios.error):
            deadline_s = time.monotonic() + LAST_WORDS_S
            while (is_full := self._waiting() > 0) and time.monotonic() < deadline_s:
                time.sleep(0.001)
            termios.tcflush(self._fd, termios.TCIOFLUSH if is_full else termios.TCIFLUSH)
        os.close(self._fd)

    def _waiting(self) -> int:
        waiting = fcntl.ioctl(self._fd, termios.TIOCOUTQ, b"\0\0\0\0")
        return int(struct.unpack("i", waiting)[0])

    def _make_raw(self, speed: int) -> None:
        mode = termios.tcgetattr(self._fd)
        mode[_IFLAG] = mode[_OFLAG] = mode[_LFLAG] = 0
        mode[_CFLAG] = termios.CS8 | termios.CREAD | termios.CLOCAL
        mode[_ISPEED] = mode[_OSPEED] = speed
        # With 1, "nothing there" is an error of its own, and 0 bytes mean that it was hung up.
        mode[_CC][termios.VMIN], mode[_CC][termios.VTIME] = 1, 0
        termios.tcsetattr(self._fd, termios.TCSANOW, mode)
        termios.tcflush(self._fd, termios.TCIOFLUSH)
