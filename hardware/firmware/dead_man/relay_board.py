"""The pins of a dead-man relay on an RP2040 board (Raspberry Pi Pico and its kin), for MicroPython.

| pins | to |
|---|---|
| GP2 | the charge pump that holds the coil's transistor on: only edges do, a level does not |
| GP3 | the relay's mirror contact (normally closed) to ground: low = the main contact is open |
| GP0, GP1 | TX, RX of the UART, where the computer is not on USB |
| GP15 | to ground at power-up: `main.py` ends at once and leaves the prompt |

The drawing, the parts and the bench test are in docs/dead-man-relay.md.
"""

import os

import machine  # type: ignore[import-not-found,unused-ignore]
from dead_man import Contact  # type: ignore[import-not-found,unused-ignore]

PUMP, MIRROR = 2, 3


class PicoContact(Contact):  # type: ignore[misc,unused-ignore]
    """A relay with force-guided contacts behind a charge pump."""

    def __init__(self) -> None:
        self.pump = machine.Pin(PUMP, machine.Pin.OUT, value=0)
        self.mirror = machine.Pin(MIRROR, machine.Pin.IN, machine.Pin.PULL_UP)
        self._level = 0

    def drive(self, is_closed: bool) -> None:
        """Give the pump one more edge, or rest low."""
        self._level = 1 - self._level if is_closed else 0
        self.pump.value(self._level)

    def is_closed(self) -> bool:
        """Tell what the mirror contact says; a broken wire reads closed, which permits nothing."""
        return bool(self.mirror.value())

    def challenge(self) -> int:
        """Return a random number below 65536."""
        raw = os.urandom(2)
        return raw[0] << 8 | raw[1]
