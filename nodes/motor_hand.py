"""The drive's own hand on its motors' port, for when their process does not speak for them."""

from __future__ import annotations

# varies throughout: these are motors
import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from olympus.runtime.errors import SafetyError
from olympus.runtime.safety.neutral_line import NeutralLine

AGAIN_S: Final = 0.02
"""How soon neutral is said again."""


class MotorHand:
    """Holds the port beside one process of the motors; from any thread."""

    def __init__(self, line_of: Callable[[Path, bytes], NeutralLine] = NeutralLine) -> None:
        """Hold nothing yet.

        Args:
            line_of: Opens a port; another than the usual one, for tests.
        """
        self._line_of = line_of
        # Whoever writes holds this: closed meanwhile, a descriptor may be another file's.
        self._lock = threading.Lock()
        self._line: NeutralLine | None = None
        self._is_let_go = False
        self._pause = threading.Event()

    def take_hold(self, device: str, frame: str) -> None:
        """Open the port, unless it was let go: what was said late opens nothing.

        Args:
            device: The port; empty where the motors have none.
            frame: What means neutral there, in hexadecimal.

        Raises:
            ValueError: The frame is not hexadecimal.
        """
        raw = bytes.fromhex(frame)
        with self._lock, contextlib.suppress(SafetyError):
            if device and self._line is None and not self._is_let_go:
                self._line = self._line_of(Path(device), raw)

    @property
    def is_of_use(self) -> bool:
        """Whether there is a port that may take something, if not now."""
        line = self._line
        return line is not None and not line.is_lost

    def write(self) -> bool:
        """Write neutral; False when the port takes nothing now, or there is none."""
        with self._lock:
            return self._line is not None and self._line.write()

    def insist(self, seconds: float, is_over: Callable[[], bool]) -> None:
        """Write neutral on and on, since a port that is full now may take it later.

        Args:
            seconds: How long at most.
            is_over: Says whether somebody else speaks for the motors.
        """
        until = time.monotonic() + seconds
        while self.is_of_use and not is_over() and time.monotonic() < until:
            self.write()
            self._pause.wait(AGAIN_S)

    def let_go(self) -> None:
        """Close the port for good."""
        with self._lock:
            line, self._line, self._is_let_go = self._line, None, True
        if line is not None:
            line.close()
