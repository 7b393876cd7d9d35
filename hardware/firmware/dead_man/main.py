"""What the board runs from power-up on: the dead-man relay on its USB port or a UART.

Ctrl-C is switched off, and no frame has it. When this loop hangs, the pump has no more edges and
the relay opens by itself some 20 ms later; the board's own watchdog then restarts it, open. To get
the prompt back, connect GP15 to ground and switch on.
"""

import gc
import select
import sys
from time import ticks_diff, ticks_ms  # type: ignore[attr-defined,unused-ignore]

import machine  # type: ignore[import-not-found,unused-ignore]
import micropython  # type: ignore[import-not-found,unused-ignore]
from dead_man import Config, Relay  # type: ignore[import-not-found,unused-ignore]
from relay_board import PicoContact  # type: ignore[import-not-found,unused-ignore]


class Machine(Config):  # type: ignore[misc,unused-ignore]
    """Your machine: what differs from `Config`."""

    uart = None  # type: int | None
    """Number of the UART the computer is on; None for USB."""


class Usb:
    """The port that a computer sees as /dev/ttyACM0."""

    def __init__(self) -> None:
        micropython.kbd_intr(-1)
        self.poll = select.poll()
        self.poll.register(sys.stdin, select.POLLIN)
        self.room = select.poll()
        self.room.register(sys.stdout, select.POLLOUT)

    def read(self) -> bytes:
        """Wait up to 1 ms; return what has come."""
        data = b""
        while len(data) < 64 and self.poll.poll(0 if data else 1):
            byte = sys.stdin.buffer.read(1)
            if not byte:
                break
            data += byte
        return data

    def write(self, data: bytes) -> None:
        """Send, unless nobody reads."""
        if self.room.poll(0):
            sys.stdout.buffer.write(data)


class Uart:
    """A UART on GP0 and GP1, 115200 baud."""

    def __init__(self, number: int) -> None:
        self.port = machine.UART(number, 115200)
        self.poll = select.poll()
        self.poll.register(self.port, select.POLLIN)

    def read(self) -> bytes:
        """Wait up to 1 ms; return what has come."""
        return self.port.read(64) or b"" if self.poll.poll(1) else b""

    def write(self, data: bytes) -> None:
        """Send."""
        self.port.write(data)


def run() -> None:
    """Serve for ever."""
    link = Usb() if Machine.uart is None else Uart(Machine.uart)
    relay = Relay(PicoContact(), Machine())
    watchdog = machine.WDT(timeout=200)
    uptime_ms, last = 0, ticks_ms()
    while True:
        data = link.read()
        now = ticks_ms()
        uptime_ms, last = uptime_ms + ticks_diff(now, last), now
        answer = relay.step(uptime_ms, data)
        if answer:
            link.write(answer)
            gc.collect()
        watchdog.feed()


if machine.Pin(15, machine.Pin.IN, machine.Pin.PULL_UP).value():
    run()
