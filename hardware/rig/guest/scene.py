"""Runs in the guest: the real guardian, a real gate before a motor, and the faults.

The motor is a byte on port 0xE9, which the host stamps as it comes: `M` drives it, `0` is neutral.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from olympus.runtime.errors import SafetyError
from olympus.runtime.safety import spawn
from olympus.runtime.safety.backstop import specs
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.gate import Command, Gate
from olympus.runtime.safety.heartbeat import HeartbeatWriter
from olympus.runtime.safety.limits import Limits, Rules
from olympus.runtime.safety.settings import Settings
from olympus.runtime.safety.status import Status
from olympus.runtime.safety.stopinput import read_stop_input

DIR = Path("/dev/shm/safety")
MOTOR = 0xE9
PATIENCE = 20
BACKSTOPS = (
    {"uses": "olympus.hardware.watchdog", "timeout_s": 1, "at_end": "bite"},
    {"uses": "olympus.hardware.relay", "port": "/dev/ttyS1", "gate_silence_s": 0.15},
)


class Scene:
    """A robot of one motor."""

    def __init__(
        self,
        backstops: Sequence[Mapping[str, object]] = BACKSTOPS,
        estop: Mapping[str, object] | None = None,
        *,
        lease_ms: int = 60,
        period_ms: int = 10,
        silence_s: float = 0.5,
    ) -> None:
        settings = Settings(
            dir=DIR,
            watch={"drive": silence_s},
            gates={"drive": silence_s},
            lease_ms=lease_ms,
            period_ms=period_ms,
            sched_fifo=50,
            backstops=specs(backstops),
            estop=read_stop_input(estop),
        )
        self.guardian = spawn.start(settings, timeout_s=60).process
        self.drive = subprocess.Popen([sys.executable, "-S", __file__], env=spawn.environment())
        self.client = SafetyClient(DIR)

    def status(self) -> Status:
        """Ask the guardian, again where the emulated computer was too slow to answer in time.

        Raises:
            SafetyError: It never answers.
        """
        for _ in range(PATIENCE):
            with contextlib.suppress(SafetyError):
                return self.client.status()
        return self.client.status()

    def blockers(self) -> list[str]:
        """Say what stands against motion."""
        return list(self.status().blockers)

    def end(self) -> None:
        """End the robot."""
        for process in (self.drive, self.guardian):
            process.kill()
            process.wait()

    def permit(self) -> str:
        """Press reset; return what came of it."""
        outcome = self.client.reset("test")
        return "" if outcome.is_confirmed else outcome.text

    def inflict(self, fault: str) -> None:
        """Do it; some never return."""
        if fault in ("kill", "stop"):
            numbers = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
            self.guardian.send_signal(numbers[fault])
        elif fault == "panic":
            Path("/proc/sysrq-trigger").write_text("c")
        elif fault == "spin":
            Path("/proc/sys/kernel/sched_rt_runtime_us").write_text("-1")
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
            while True:
                pass


def drive() -> None:
    """Drive the motor at half speed, 100 times a second, through a gate."""
    port = os.open("/dev/port", os.O_WRONLY)
    beats = HeartbeatWriter(DIR, "drive")

    def apply(channels: tuple[float, ...]) -> None:
        os.pwrite(port, b"M" if channels[0] else b"0", MOTOR)

    gate = Gate(DIR, "drive", Rules((Limits(-1.0, 1.0, 20.0),)), apply=apply)
    while True:
        beats.beat()
        gate.tick(Command((0.5,), time.monotonic_ns()))
        time.sleep(0.01)


if __name__ == "__main__":
    drive()
