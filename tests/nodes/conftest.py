"""A session in a short folder, real guardians, and a simulated building to drive in."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session, new_session
from olympus.runtime.safety import spawn
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.heartbeat import HeartbeatWriter
from olympus.runtime.safety.settings import Settings
from olympus.sim import devices as devices
from olympus.sim.server import DeviceServer
from olympus.sim.stage import Stage
from olympus.sim.world import World

Until = Callable[[Callable[[], bool]], Awaitable[None]]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    root = Path(tempfile.mkdtemp(prefix="oly-"))  # sockets want short paths
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(root))
    yield new_session("test")
    shutil.rmtree(root)


@pytest.fixture
def robot_clock(session: Session) -> SystemClock:
    return SystemClock(session.clock_offset_ns)


class Guardian:
    """A real guardian process, and how a person speaks to it."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self.client = SafetyClient(session.safety_dir)
        self._started = spawn.start(settings)

    def permit(self) -> None:
        """Reset it, as a person does who has looked."""
        outcome = self.client.reset("test")
        assert outcome.is_confirmed, outcome

    @property
    def is_ready(self) -> bool:
        """Whether a reset would be accepted."""
        return not self.client.status().blockers

    def kill(self) -> None:
        """End the process at once."""
        self._started.process.kill()
        self._started.process.wait()
        if self._started.process.stdout is not None:
            self._started.process.stdout.close()


@pytest.fixture
def guardian_of_drive(session: Session) -> Iterator[Guardian]:
    """It wants to hear from the gate called drive: a machine that stands still for a second is
    nothing that these tests are about."""
    settings = Settings(
        session.safety_dir, gates={"drive": 2.0}, conditions=("battery",), lease_ms=1000
    )
    one = Guardian(session, settings)
    one.client.report("battery", ok=True)
    yield one
    one.kill()


@pytest.fixture
def guardian(session: Session) -> Iterator[Guardian]:
    """It is content with a single beat, for ten seconds."""
    one = Guardian(session, Settings(session.safety_dir, watch={"bench": 10.0}, lease_ms=1000))
    beats = HeartbeatWriter(session.safety_dir, "bench")
    beats.beat()
    yield one
    beats.close()
    one.kill()


class Building:
    """A simulated world in real time, whose devices can be taken away."""

    def __init__(self, session: Session, clock: SystemClock) -> None:
        self.world = World(3, people=0)
        self._socket, self._clock = session.run_dir / "sim.sock", clock
        self.open()

    def open(self) -> None:
        """Go on, and serve the devices."""
        self.stage = Stage(self.world, self._clock)
        self._server, self._ending = DeviceServer(self.stage, self._socket), threading.Event()
        self._thread = threading.Thread(target=self.stage.run, args=(self._ending,))
        self._thread.start()
        self._server.start()

    def close(self) -> None:
        """Take the devices away and stand still."""
        self._ending.set()
        self._thread.join()
        self._server.close()


@pytest.fixture
def building(session: Session, robot_clock: SystemClock) -> Iterator[Building]:
    one = Building(session, robot_clock)
    yield one
    one.close()


@pytest.fixture
def until() -> Until:
    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(15):
            while not condition():
                await asyncio.sleep(0.005)

    return wait
