"""The patrol as a person starts it: real processes, watched from outside."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from olympus.runtime.launch.seat import Seat
from olympus.runtime.launch.testing import Launched
from olympus.runtime.messages import Ack, Command
from olympus.sim.messages import Happen, SetFault, Truth

PATROL = Path(__file__).resolve().parents[2] / "launch" / "patrol.yaml"
PATIENT = f"""
name: patrol
include: [{{file: {PATROL}}}]
safety:
  watch: {{control: 2.0, perception: 2.0, launcher: 2.0}}
  gates: {{drive: 2.0}}
  lease_ms: 1000
"""
"""The patrol with a guardian that lets a busy machine stand still for a moment."""
KEPT = {"logs", "safety", "audit", "spill", "launch.json", "guardian.json", "hosts", "dispatch"}
"""What a session leaves for whoever wants to know what happened."""
STILL_MPS, STILL_RADPS = 0.02, 0.05
MOVING_MPS = 0.1

Riding = Callable[..., AbstractAsyncContextManager["Ride"]]


class Ride:
    """A launched patrol and what is true of its rover."""

    def __init__(self, robot: Launched, seat: Seat) -> None:
        self.robot, self.seat = robot, seat
        self.truth = seat.watch("rover/sim/truth")
        self.percepts = seat.watch("rover/percepts")
        self.mission = seat.watch("rover/mission")
        self.diagnostics = seat.watch("rover/diagnostics")
        self.logs = seat.watch("@olympus/log")

    @property
    def now(self) -> Truth:
        truth: Truth = self.truth.newest
        return truth

    @property
    def is_moving(self) -> bool:
        return abs(self.now.linear_mps) > MOVING_MPS

    @property
    def is_still(self) -> bool:
        now = self.now
        return abs(now.linear_mps) < STILL_MPS and abs(now.angular_radps) < STILL_RADPS

    @property
    def state(self) -> str:
        return str(self.mission.newest.state) if self.mission.messages else ""

    async def begin(self) -> Ride:
        await self.seat.until(lambda: self.truth.messages and self.mission.messages, "first news")
        return self

    async def say(self, sentence: str) -> Ack:
        answer: Ack = await self.seat.call("rover/navigator/say", Command(text=sentence, verb=""))
        return answer

    async def set_off(self) -> None:
        """Drive, whatever was before; give people time to get out of the way."""
        if not self.robot.safety.status().is_permitted:
            await self.robot.permit()
        async with asyncio.timeout(10):
            while not (await self.say("patrol the corridor")).ok:
                await asyncio.sleep(0.05)  # the navigator has not read the lease yet
        await self.seat.until(lambda: self.is_moving, "the rover drives", 40)

    async def until_still(self, within_s: float) -> float:
        return await self.seat.until(lambda: self.is_still, "the rover stands", within_s)

    async def stays_still(self, seconds: float) -> None:
        await self.seat.during(seconds, lambda: self.is_still, "the rover stands")

    async def let(self, event: str) -> None:
        answer = await self.seat.call("rover/world/event", Happen(name=event))
        assert answer.ok, answer.text

    async def fault(self, name: str, value: float) -> None:
        answer = await self.seat.call("rover/world/fault", SetFault(name=name, value=value))
        assert answer.ok, answer.text

    def complaints(self) -> list[str]:
        """Return every log line that is an error."""
        return [
            f"{line.logger}: {line.text}"
            for line in self.logs.messages
            if line.level in ("error", "critical")
        ]

    def unexplained_drops(self) -> dict[str, int]:
        """Return what was lost between publishers and handlers, newest-wins left out."""
        found: Counter[str] = Counter()
        for host in self.seat.hosts.values():
            for end in host.topics:
                for reason, count in end.dropped.items():
                    if reason != "superseded":
                        found[f"{end.topic} at {end.node}: {reason}"] += count
        return {where: count for where, count in found.items() if count}


@contextmanager
def launched(*words: str, go: bool = False, is_patient: bool = False) -> Iterator[Launched]:
    """Launch the patrol with `key:=value` words, and see that nothing of it is left."""
    with started(*words, go=go, is_patient=is_patient) as robot:
        yield robot
        assert robot.stop() == 0, robot.output
        assert robot.left_behind == []
        assert_tidy(robot.run_dir)


@contextmanager
def started(*words: str, go: bool = False, is_patient: bool = False) -> Iterator[Launched]:
    # A short path: the name of a unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="oly") as folder:
        root = Path(folder)
        quiet = ["viewer_port:=0", f"recorder.path:={root / 'record'}"]
        file = PATROL
        if is_patient:
            file = root / "patient.yaml"
            file.write_text(PATIENT)
        with Launched(file, *quiet, *words, root=root, go=go) as robot:
            robot.until_active()
            yield robot


def assert_tidy(run_dir: Path) -> None:
    """No socket, address, secret or half-written file stays in the run folder."""
    left = {entry.name for entry in run_dir.iterdir() if entry.suffix != ".pose"}
    assert left <= KEPT
    assert list((run_dir / "hosts").iterdir()) == []
    odd = [f for f in run_dir.rglob("*") if f.is_socket() or f.is_fifo() or f.suffix == ".tmp"]
    assert odd == []


@pytest.fixture(scope="module")
def patrol() -> Iterator[Launched]:
    """A patrol, launched once for all tests of a module; at first nobody permits it to move."""
    with launched(is_patient=True) as robot:
        yield robot


@pytest.fixture
async def ride(patrol: Launched) -> AsyncIterator[Ride]:
    """A place to watch the module's patrol from."""
    async with patrol.joined() as seat:
        yield await Ride(patrol, seat).begin()


@asynccontextmanager
async def alone(*words: str, go: bool = False) -> AsyncIterator[Ride]:
    """Launch a patrol of one's own, and take a place to watch it from."""
    with launched(*words, go=go) as robot:
        async with robot.joined() as seat:
            yield Ride(robot, seat)


@pytest.fixture
def riding() -> Riding:
    """Return a function that launches a patrol for one test, with `key:=value` words."""
    return alone


@pytest.fixture
def doomed() -> Iterator[Launched]:
    """A patrol whose launcher will not live to tidy up."""
    with started() as robot:
        yield robot
