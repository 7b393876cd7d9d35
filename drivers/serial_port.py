"""A serial port that never makes its user wait: writes at once or not at all, reads in a thread."""

from __future__ import annotations

import os
import termios
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from olympus.runtime.errors import ConfigError, DeviceError

BY_ID = Path("/dev/serial/by-id")
"""Names that stay the same when something is plugged in again."""
_DRAIN_S = 0.05
_TURN_S = 0.1
"""How long the reader waits for bytes before it looks whether it should end."""


def load_pyserial() -> ModuleType:
    """Import pyserial.

    Raises:
        DeviceError: It is not installed.
    """
    try:
        import serial  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise DeviceError(
            f"serial ports need pyserial ({error}); install it with:"
            " pip install 'olympus-edge[motors]'"
        ) from error
    module: ModuleType = serial
    return module


class SerialPort:
    """An open port; made by its constructor, used up by `close`."""

    def __init__(self, device: str, baud: int, *, deliver: Callable[[bytes], None]) -> None:
        """Open the port and begin to read.

        Args:
            device: Such as `/dev/serial/by-id/usb-…`.
            baud: Bits per second; USB ports ignore it.
            deliver: Takes the bytes that arrive, in the reader's thread.

        Raises:
            DeviceError: It is missing, busy, not permitted, or pyserial is.
        """
        self.failure = ""
        """Why it is of no use any more."""
        self._device, self._deliver = device, deliver
        self._serial = _opened(device, baud)
        self._fd: int = self._serial.fileno()
        self._lock = threading.Lock()
        self._is_open = True
        self._urgent: bytes | None = None
        self._reader = threading.Thread(target=self._read_on, name="serial", daemon=True)
        self._reader.start()

    def write(self, data: bytes) -> None:
        """Give a few bytes to the system, which sends them in its own time.

        Raises:
            DeviceError: It was unplugged or closed, or takes no more bytes.
        """
        with self._lock:
            self._put(data)
        self._put_urgent()

    def write_urgent(self, data: bytes) -> None:
        """Drop what waits to be sent and send this; from any thread, waits on nothing.

        A failure is kept in `failure`.
        """
        self._urgent = data
        self._put_urgent()

    @property
    def backlog(self) -> tuple[int, int]:
        """Bytes that came and nobody has read, and bytes that wait to be sent; 0 if unknown."""
        try:
            return int(self._serial.in_waiting), int(self._serial.out_waiting)
        except (OSError, TypeError):  # unplugged or closed, which others tell
            return 0, 0

    def close(self) -> None:
        """Send what waits, for a moment at most, and let the port go."""
        self._is_open = False
        with suppress(OSError):
            self._serial.cancel_read()
        if self._reader is not threading.current_thread():
            self._reader.join(5 * _TURN_S)
        with self._lock, suppress(OSError, termios.error):
            until = time.monotonic() + _DRAIN_S
            while not self.failure and self._serial.out_waiting and time.monotonic() < until:
                time.sleep(0.002)
            if self._serial.out_waiting:  # else close() might wait for a dead line
                termios.tcflush(self._fd, termios.TCOFLUSH)
        with self._lock, suppress(OSError):
            self._serial.close()

    def _put_urgent(self) -> None:
        # Whoever holds the lock sends it on leaving, so nobody has to wait here.
        while self._urgent is not None and self._lock.acquire(blocking=False):
            try:
                data, self._urgent = self._urgent, None
                if data is not None:
                    with suppress(DeviceError, termios.error):
                        if self._is_open:
                            termios.tcflush(self._fd, termios.TCOFLUSH)
                        self._put(data)
            finally:
                self._lock.release()

    def _put(self, data: bytes) -> None:
        if not self._is_open or self.failure:
            raise DeviceError(self.failure or f"{self._device} is closed; call open() first")
        try:
            count = os.write(self._fd, data)
        except BlockingIOError:
            count = 0
        except OSError as error:
            self.failure = f"{self._device} was unplugged or failed ({error}); open it again"
            raise DeviceError(self.failure) from error
        if count < len(data):
            raise DeviceError(
                f"{self._device} takes no more bytes: nothing reads them at the other end;"
                " check the cable, the baud rate and the controller"
            )

    def _read_on(self) -> None:
        while self._is_open:
            try:
                data = self._serial.read(max(1, self._serial.in_waiting))
            except (OSError, TypeError) as error:  # TypeError: closed by another thread
                if self._is_open:
                    self.failure = (
                        f"{self._device} was unplugged or failed ({error}); open it again"
                    )
                return
            if data:
                self._deliver(data)


def _opened(device: str, baud: int) -> Any:
    serial = load_pyserial()
    try:
        return serial.Serial(device, baud, timeout=_TURN_S, write_timeout=0, exclusive=True)
    except ValueError as error:
        raise ConfigError(f"{device}: baud={baud} is refused ({error}); try 115200") from error
    except OSError as error:
        raise DeviceError(f"{device}: {_remedy(device, error)}") from error


def _remedy(device: str, error: OSError) -> str:
    if not Path(device).exists():
        found = sorted(str(path) for path in BY_ID.glob("*"))
        there = "; there are " + ", ".join(found) if found else "; no serial port has one now"
        return f"no such device. Use its name below {BY_ID}, which stays the same{there}"
    if not os.access(device, os.R_OK | os.W_OK):
        return "not permitted; `sudo usermod -aG dialout $USER`, then log in again"
    if "lock" in str(error):
        return "another program has it open (`fuser -v` on it says which); end that one"
    return f"it can't be opened as a serial port ({error})"
