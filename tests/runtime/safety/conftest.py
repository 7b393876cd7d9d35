"""A short directory on a tmpfs, and real guardians that end with their test."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from olympus.runtime.safety import spawn
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.gate import Command, Gate
from olympus.runtime.safety.heartbeat import HeartbeatWriter
from olympus.runtime.safety.limits import Limits, Rules
from olympus.runtime.safety.settings import Settings

RULES = Rules((Limits(-1.0, 1.0, 20.0),))
StartGuardian = Callable[[Settings], spawn.Started]


@pytest.fixture
def safety_dir() -> Iterator[Path]:
    shm = Path("/dev/shm")
    root = Path(tempfile.mkdtemp(prefix="safety-", dir=shm if shm.is_dir() else None))
    yield root / "safety"
    shutil.rmtree(root)


@pytest.fixture
def start_guardian() -> Iterator[StartGuardian]:
    started: list[spawn.Started] = []

    def begin(settings: Settings) -> spawn.Started:
        started.append(spawn.start(replace(settings, sched_fifo=20)))
        return started[-1]

    yield begin
    for one in started:
        one.process.kill()
        one.process.wait()


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen in time")
        time.sleep(0.002)


class Drive:
    """A loop at 100 Hz that beats, commands half speed, and goes through a real gate."""

    def __init__(self, directory: Path, heartbeat: str = "drive") -> None:
        self.outputs: list[tuple[int, float]] = []
        self._beats = HeartbeatWriter(directory, heartbeat)
        self.gate = Gate(directory, "drive", RULES, apply=self._apply)
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _apply(self, channels: tuple[float, ...]) -> None:
        self.outputs.append((time.monotonic_ns(), channels[0]))

    def _run(self) -> None:
        while not self._ending.wait(0.01):
            self._beats.beat()
            self.gate.tick(Command((0.5,), time.monotonic_ns()))

    @property
    def output(self) -> float:
        return self.outputs[-1][1] if self.outputs else 0.0

    def close(self) -> None:
        if not self._ending.is_set():
            self._ending.set()
            self._thread.join()
            self.gate.close()
            self._beats.close()


@pytest.fixture
def drive() -> Iterator[Callable[[Path], Drive]]:
    drives: list[Drive] = []

    def begin(directory: Path) -> Drive:
        drives.append(Drive(directory))
        return drives[-1]

    yield begin
    for one in drives:
        one.close()


def permit(client: SafetyClient) -> None:
    until(lambda: not client.status().blockers)
    outcome = client.reset("test")
    assert outcome.is_confirmed, outcome


@pytest.fixture
def until_true() -> Callable[..., None]:
    return until


@pytest.fixture
def permit_motion() -> Callable[[SafetyClient], None]:
    return permit
