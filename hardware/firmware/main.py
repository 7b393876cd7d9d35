"""What the board runs from power-up on: the controller on its USB port.

A frame has no byte below 0x20 but its line's end, so it can't interrupt a prompt; Ctrl-C is
switched off all the same. The board's own watchdog restarts it when this loop hangs, at a host that
no longer reads for example: the pins are inputs then, and the bridges' pull-downs let the motors
coast. To get the prompt back, connect GP15 to ground and switch on.
"""

import select
import sys
from time import ticks_diff, ticks_ms  # type: ignore[attr-defined,unused-ignore]

import machine  # type: ignore[import-not-found,unused-ignore]
import micropython  # type: ignore[import-not-found,unused-ignore]
from rover_base import Config, Controller  # type: ignore[import-not-found,unused-ignore]
from rover_board import PicoBoard  # type: ignore[import-not-found,unused-ignore]


class Rover(Config):  # type: ignore[misc,unused-ignore]
    """Your robot: what differs from `Config`."""

    bearings_mrad = (785, 0, -785)


def run() -> None:
    """Serve for ever."""
    micropython.kbd_intr(-1)
    controller = Controller(PicoBoard(Rover.range_max_mm), Rover())
    watchdog = machine.WDT(timeout=300)
    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN)
    room = select.poll()
    room.register(sys.stdout, select.POLLOUT)
    uptime_ms, last = 0, ticks_ms()
    while True:
        data = b""
        while len(data) < 64 and poll.poll(0 if data else 1):
            data += sys.stdin.buffer.read(1)
        now = ticks_ms()
        uptime_ms, last = uptime_ms + ticks_diff(now, last), now
        answer = controller.step(uptime_ms, data)
        if answer and room.poll(0):
            sys.stdout.buffer.write(answer)
        watchdog.feed()


if machine.Pin(15, machine.Pin.IN, machine.Pin.PULL_UP).value():
    run()
