"""The observer: plays a motor controller that holds its last command, and says when it was neutral.

    python -m olympus.sim.campaign.observer LINK [PRIORITY]

A process of its own, so that no fault of the runtime touches its clock. It prints one JSON object a
line: `ready`, then each time the motors' command turns from neutral to driven or back. On standard
input it takes `cut` (the wire towards the motors is cut), `stutter` (half of the pieces are lost)
and `whole`; to `mark N` it answers with that mark, after every change that came before. It ends
when standard input does.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from olympus.hardware.firmware.rover_base import LATCHED, Controller
from olympus.runtime.safety.realtime import real_time
from olympus.sim.motor_controller import RoverConfig, SimBoard, pseudo_terminal

TURN_S = 0.002


class Witness(Controller):
    """The reference firmware without its time-out, and with a memory for what it was told."""

    def __init__(self, board: SimBoard, config: RoverConfig) -> None:
        super().__init__(board, config)
        self.heard_ns = 0
        """When the bytes that are being heard came, CLOCK_MONOTONIC."""
        self.changes: list[dict[str, object]] = []
        self._was_driven = False

    @property
    def is_driven(self) -> bool:
        """Whether the motors are commanded to turn."""
        return not self.flags & LATCHED and any(wheel.target for wheel in self.wheels)

    def _obey(self, now_ms: int, fields: list[str]) -> bool:
        is_good = super()._obey(now_ms, fields)
        if self.is_driven != self._was_driven:
            self._was_driven = self.is_driven
            self.changes.append(
                {"at_ns": self.heard_ns, "is_driven": self.is_driven, "seq": self.seq}
            )
        return is_good


class Observer:
    """Runs the controller on its end of the line, and hears what is asked on standard input."""

    def __init__(self, fd: int) -> None:
        config = RoverConfig()
        config.silence_ms = 0
        self._fd = fd
        self._board = SimBoard(config)
        self.controller = Witness(self._board, config)
        self._begun = self._last = time.monotonic()
        self._wire, self._luck = "whole", random.Random(1)

    def turn(self) -> bool:
        """Hear, let time pass, answer; False when standard input has ended."""
        readable, _, _ = select.select([self._fd, sys.stdin], [], [], TURN_S)
        data = self._hear() if self._fd in readable else b""
        now = time.monotonic()
        self._board.advance(now - self._last)
        self._last = now
        answer = self.controller.step(round((now - self._begun) * 1000), data)
        if answer and self._wire != "cut":
            with contextlib.suppress(BlockingIOError):  # nobody reads: a real line would lose it
                os.write(self._fd, answer)
        return sys.stdin not in readable or self._take_order()

    def _hear(self) -> bytes:
        data = os.read(self._fd, 4096)
        self.controller.heard_ns = time.monotonic_ns()
        is_lost = self._wire == "cut" or (self._wire == "stutter" and self._luck.random() < 0.5)
        return b"" if is_lost else data

    def _take_order(self) -> bool:
        lines = os.read(sys.stdin.fileno(), 256).decode().splitlines()
        for line in lines:
            word, _, number = line.partition(" ")
            if word == "mark":
                self.controller.changes.append({"mark": int(number)})
            else:
                self._wire = word
        return bool(lines)


def main(arguments: Sequence[str]) -> int:
    """Observe until standard input ends.

    Args:
        arguments: Where programs find the serial port, and the real-time priority to ask for.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    priority = int(arguments[1]) if len(arguments) > 1 else None
    with pseudo_terminal(Path(arguments[0])) as fd:
        observer = Observer(fd)
        _say({"ready": True, "priority": real_time(priority)})
        while observer.turn():
            for change in observer.controller.changes:
                _say(change)
            observer.controller.changes.clear()
    return 0


def _say(what: dict[str, object]) -> None:
    os.write(1, (json.dumps(what) + "\n").encode())


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
