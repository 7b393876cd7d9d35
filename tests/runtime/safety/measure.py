"""Measure the timing chain of the safety path with real processes; prints a table.

Run it as `python tests/runtime/safety/measure.py [TRIALS]`.
"""

from __future__ import annotations

import multiprocessing
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from olympus.runtime.safety import spawn
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.gate import Command, Gate
from olympus.runtime.safety.heartbeat import HeartbeatWriter
from olympus.runtime.safety.lease import LeaseReader
from olympus.runtime.safety.limits import Limits, Rules
from olympus.runtime.safety.settings import Settings

MS = 1_000_000
PHASE = random.Random(1)  # acts must not fall in step with the gate
RULES = Rules((Limits(-1.0, 1.0, 20.0),))


def actuator(directory: str, pipe: Connection) -> None:
    """Beat and tick at 50 Hz; tell when the output became neutral after it was not."""
    beats, was_moving = HeartbeatWriter(Path(directory), "drive"), False

    def apply(channels: tuple[float, ...]) -> None:
        nonlocal was_moving
        if was_moving and channels == (0.0,):
            pipe.send(time.monotonic_ns())
        elif not was_moving and channels != (0.0,):
            pipe.send("moving")
        was_moving = channels != (0.0,)

    gate = Gate(Path(directory), "drive", RULES, apply=apply)
    while True:
        beats.beat()
        gate.tick(Command((0.5,), time.monotonic_ns()))
        time.sleep(0.02)


def beater(directory: str) -> None:
    """Beat at 100 Hz and do nothing else."""
    beats = HeartbeatWriter(Path(directory), "control")
    while True:
        beats.beat()
        time.sleep(0.01)


Act = Callable[[spawn.Started, SafetyClient, BaseProcess], object]


def trial(act: Act) -> float:
    """Start everything, let it move, do the act, and return ms until the output was neutral."""
    root = Path(tempfile.mkdtemp(dir="/dev/shm"))
    directory = root / "safety"
    watch = {"control": 0.2, "drive": 0.2}
    started = spawn.start(Settings(dir=directory, watch=watch, sched_fifo=20))
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    motor = context.Process(target=actuator, args=(str(directory), theirs), daemon=True)
    beats = context.Process(target=beater, args=(str(directory),), daemon=True)
    try:
        motor.start()
        beats.start()
        client = SafetyClient(directory)
        while client.status().blockers:
            time.sleep(0.01)
        client.reset("measure")
        mine.recv()
        time.sleep(0.2 + PHASE.uniform(0, 0.02))
        began_ns = time.monotonic_ns()
        act(started, client, beats)
        return float(mine.recv() - began_ns) / MS
    finally:
        for one in (motor, beats):
            one.kill()
            one.join()
        started.process.kill()
        started.process.wait()
        shutil.rmtree(root)


def kill_guardian(started: spawn.Started, _client: SafetyClient, _beats: BaseProcess) -> None:
    """End the guardian at once."""
    started.process.send_signal(signal.SIGKILL)


def freeze_guardian(started: spawn.Started, _client: SafetyClient, _beats: BaseProcess) -> None:
    """Freeze the guardian."""
    started.process.send_signal(signal.SIGSTOP)


def kill_heartbeat(_started: spawn.Started, _client: SafetyClient, beats: BaseProcess) -> None:
    """End a watched process."""
    beats.kill()


ACTS: dict[str, Act] = {
    "stop by client": lambda _started, client, _beats: client.stop("measure"),
    "guardian SIGKILL (lease 60 ms)": kill_guardian,
    "guardian SIGSTOP (lease 60 ms)": freeze_guardian,
    "heartbeat SIGKILL (limit 200 ms)": kill_heartbeat,
}


def per_call_us(call: Callable[[], object], count: int = 20_000) -> float:
    """Time a call, in microseconds."""
    began = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - began) / count * 1e6


def main() -> None:
    """Print what was measured."""
    trials = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    out = sys.stdout.write
    out(f"{'until the output is neutral, ms':<36}{'p50':>8}{'max':>8}   n={trials}, gate 50 Hz\n")
    for name, act in ACTS.items():
        found = sorted(trial(act) for _ in range(trials))
        out(f"{name:<36}{statistics.median(found):>8.1f}{found[-1]:>8.1f}\n")
    root = Path(tempfile.mkdtemp(dir="/dev/shm"))
    started = spawn.start(Settings(dir=root, watch={"drive": 1.0}))
    beats, lease = HeartbeatWriter(root, "drive"), LeaseReader(root)
    gate = Gate(root, "drive", RULES, apply=lambda _channels: None)
    out(f"beat {per_call_us(beats.beat):.2f} us, ")
    out(f"lease check {per_call_us(lambda: lease.check(time.monotonic_ns())):.2f} us, ")
    out(f"gate tick {per_call_us(lambda: gate.tick(None)):.2f} us\n")
    gate.close()
    usage = Path(f"/proc/{started.process.pid}/stat")
    ticks = sum(int(one) for one in usage.read_text().split()[13:15])
    time.sleep(5)
    ticks = sum(int(one) for one in usage.read_text().split()[13:15]) - ticks
    status = Path(f"/proc/{started.process.pid}/status").read_text()
    rss = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    out(f"guardian at 100 Hz: {ticks / 5:.1f} % of a core, RSS {int(rss) / 1024:.0f} MB\n")
    started.process.terminate()
    started.process.wait()
    shutil.rmtree(root)


if __name__ == "__main__":
    main()
