"""Faults of a whole computer: the real guardian in a virtual machine, the real relay outside it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from olympus.hardware.rig.initrd import make_initrd
from olympus.hardware.rig.machine import Machine
from olympus.hardware.rig.relay_board import RelayBoard
from olympus.runtime.errors import DeviceError

MS: Final = 1_000_000
FAULTS: Final = {
    "kill": "the guardian is killed (SIGKILL)",
    "stop": "the guardian is frozen (SIGSTOP)",
    "panic": "the kernel panics",
    "lockup": "the processor loops with interrupts off",
    "spin": "an endless loop at real-time priority 99",
}
"""What is inflicted, in words."""
PACE: Final = "lease_ms=200, period_ms=50"
"""At real-time priority and every 10 ms, an emulated processor on a busy host would be left to
nobody else: the watchdog's feeder starved until it bit."""
ASKING_S: Final = 0.2
"""From one question to the guest's guardian to the next: to answer is work at that priority too."""
TRIES: Final = 20
"""How often permission is tried: on a busy host the relay may open before the fault."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What one fault led to; times in ms from the moment the host inflicted it."""

    fault: str
    motor_ms: float
    """Until the last byte that drove the motor."""
    relay_ms: float
    """Until the relay's contact opened: motor power is off."""
    watchdog_ms: float
    """Until the watchdog bit."""
    spurious: int
    """How often the relay had opened before the fault, the host being busy."""


class Theatre:
    """One guest and one relay, for many trials."""

    def __init__(
        self, image: Path, modules: tuple[str, ...], micropython: Path, folder: Path
    ) -> None:
        """Boot, start guardian and motor, and keep that as a snapshot.

        Args:
            image: What `./run rig vm` made.
            modules: Its kernel modules, in the order in which they are loaded.
            micropython: MicroPython's unix port.
            folder: An empty folder with a short name.

        Raises:
            DeviceError: The guest did not come up.
        """
        with ExitStack() as built:
            self.board = RelayBoard(micropython, folder)
            """The relay."""
            built.callback(self.board.close)
            initrd = make_initrd(image, modules, folder / "initrd")
            self.machine = Machine(image / "vmlinux", initrd, folder, self.board.port)
            built.callback(self.machine.close)
            self.machine.run(f"import scene; one = scene.Scene({PACE})")
            self._wait(self._is_free, 60, every_s=ASKING_S)
            if self.has_bitten:
                raise DeviceError(
                    "the watchdog bit before the robot was ready; the host is too busy"
                )
            self.machine.save()
            built.pop_all()

    @property
    def has_bitten(self) -> bool:
        """Whether the watchdog has bitten since the last restore: QEMU's bites once and is off."""
        return self.machine.event_after("WATCHDOG", 0) is not None

    def trial(self, fault: str, dice: random.Random) -> Trial:
        """Inflict a fault on a driving robot, at a random moment.

        Args:
            fault: One of `FAULTS`.
            dice: Chooses the moment.

        Raises:
            DeviceError: The robot can't be brought to drive, or nothing stops it within 20 s.
        """
        spurious = self._drive(dice)
        if fault == "lockup":
            began_ns = self.machine.lock_up()
        else:
            began_ns = self.machine.begin(f"one.inflict({fault!r})")
        self._wait(lambda: self.board.opened_after(began_ns) is not None, 20)
        self._wait(lambda: self.machine.event_after("WATCHDOG", began_ns) is not None, 20)
        opened_ns = self.board.opened_after(began_ns) or 0
        bitten_ns = self.machine.event_after("WATCHDOG", began_ns) or 0
        times = (self.machine.last_drive(), opened_ns, bitten_ns)
        motor_ms, relay_ms, watchdog_ms = ((at_ns - began_ns) / MS for at_ns in times)
        return Trial(fault, motor_ms, relay_ms, watchdog_ms, spurious)

    def close(self) -> None:
        """Switch everything off."""
        self.machine.close()
        self.board.close()

    def _drive(self, dice: random.Random) -> int:
        """Bring the robot to drive and keep it so for a moment; return how often that failed.

        Raises:
            DeviceError: It does not drive, as often as it is tried.
        """
        for spurious in range(TRIES):
            self.machine.restore()
            self._wait(self._is_free, 30, every_s=ASKING_S)
            if self.machine.evaluate("one.permit()"):
                continue
            end = time.monotonic() + 0.4 + dice.random() * 0.1
            while time.monotonic() < end:
                time.sleep(0.002)
            is_driven = time.monotonic_ns() - self.machine.last_drive() < 100 * MS
            if self.board.is_closed and is_driven and not self.has_bitten:
                return spurious
        raise DeviceError(f"the robot does not drive after {TRIES} tries; the host is too busy")

    def _is_free(self) -> bool:
        return not self.machine.evaluate("one.blockers()")

    def _wait(
        self, condition: Callable[[], bool], within_s: float, *, every_s: float = 0.005
    ) -> None:
        """Wait for something.

        Raises:
            DeviceError: It did not happen in time.
        """
        deadline = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > deadline:
                raise DeviceError(f"not within {within_s:g} s; {self.machine.console()[-500:]}")
            time.sleep(every_s)
