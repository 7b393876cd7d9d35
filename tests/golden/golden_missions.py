"""Golden missions: seeded situations in virtual time, whose every message is known.

    ./run golden            lists them
    ./run golden check      runs them and compares with tests/golden/missions.json
    ./run golden accept     shows what has changed, and keeps it

Two runs on one kind of machine are equal to the bit. Processors of other abilities choose other
kernels in numpy, ONNX Runtime and MuJoCo, whose results differ in the last bit; so hashes are kept
by kind of machine, and on a kind that is not known yet only the story is compared: who saw, heard
and did what, in which order.
"""

from __future__ import annotations

import dataclasses
import hashlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import yaml

from golden_body import Body, Deed
from olympus.nodes.conditions import Conditions
from olympus.nodes.detector import Detector
from olympus.nodes.listener import Listener
from olympus.nodes.navigator import Navigator
from olympus.nodes.percepts import Percepts
from olympus.runtime.bus import Bus, SubscriptionOptions
from olympus.runtime.clock import VirtualClock, run_virtual
from olympus.runtime.config import Session
from olympus.runtime.messages import Journal as JournalPiece
from olympus.runtime.messages import (
    Message,
    MissionState,
    Percept,
    SafetyState,
    SoundEvent,
    Text,
    encode,
)
from olympus.runtime.node import Node, NodeContext
from olympus.runtime.node.journal import HostJournal, JournalKeeper, Wait
from olympus.runtime.node.lifecycle import Transition
from olympus.runtime.node.runner import NodeRunner
from olympus.runtime.node.spec import NodeSpec
from olympus.runtime.qos import QoS
from olympus.runtime.scheduler import Dispatcher
from olympus.runtime.store import Incoming, Run, StreamStore
from olympus.runtime.telemetry.machine import cpu_features, machine_facts
from olympus.sim.scenarios import find_scenario

T = TypeVar("T")
LAUNCH_FILE = Path(__file__).resolve().parents[2] / "launch" / "patrol.yaml"
GO = Deed(0.5, say="patrol the corridor")


@dataclass(frozen=True, slots=True)
class Mission:
    """A situation, and what happens in it."""

    text: str
    scenario: str
    seconds: float
    deeds: tuple[Deed, ...] = (GO,)
    seed: int = 7


MISSIONS: dict[str, Mission] = {
    "person_crosses": Mission("a person crosses before the rover", "person_crosses", 9.0),
    "stop_shouted": Mission("somebody shouts 'stop'", "stop_shouted", 10.5),
    "camera_freezes": Mission(
        "the camera repeats one picture", "patrol", 5.0, (GO, Deed(2.5, fault="camera_frozen"))
    ),
    "iot_alarm": Mission("smoke, then an alarm", "iot_alarm", 11.5),
    "low_battery": Mission(
        "the battery runs low", "patrol", 5.0, (GO, Deed(2.5, fault="battery_low"))
    ),
}
NODES: dict[str, type[Node]] = {
    "detector": Detector,
    "listener": Listener,
    "percepts": Percepts,
    "navigator": Navigator,
    "conditions": Conditions,
}


@dataclass(slots=True)
class Flight:
    """What came of a mission."""

    story: list[str] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    """The sha256 of all messages of a topic, by topic."""
    counts: dict[str, int] = field(default_factory=dict)
    dispatch: str = ""
    """The sha256 of the scheduler's trace."""
    errors: int = 0


def machine_kind() -> str:
    """Return what hashes are kept by: versions and abilities that choose kernels."""
    facts = machine_facts()
    names = ("numpy", "onnxruntime", "mujoco-core", "libc")
    words = [facts["system"], *(f"{name} {facts[name]}" for name in names), *cpu_features()]
    return " ".join(words)


def fly(mission: Mission, record: Path | None = None) -> Flight:
    """Run a mission.

    Args:
        mission: Which one.
        record: Folder of a store to record it into, journal and all; None for none.
    """
    clock = VirtualClock()
    with tempfile.TemporaryDirectory(prefix="oly") as folder:
        rig = _Rig(mission, clock, Path(folder), record)
        return run_virtual(rig.run(), clock)


class _Keeper(JournalKeeper):
    """A journal of a node whose acts go to the body, and take no time."""

    body: Body

    async def wait(self, wait: Wait[T]) -> T:
        """Wait; acts are done at once."""
        if wait.kind == "act":
            wait = dataclasses.replace(wait, live=partial(self._act, wait.name))
        return await super().wait(wait)

    async def _act(self, name: str) -> Any:
        if name == "stop":
            self.body.trip("heard 'stop'")
            return ["stopped", "CONFIRMED"]
        return None  # a report of a condition: heard, and good


class _Rig:
    """The nodes of a mission on one bus."""

    def __init__(
        self, mission: Mission, clock: VirtualClock, folder: Path, record: Path | None
    ) -> None:
        self._mission, self._clock, self._record = mission, clock, record
        self._session = Session(
            name="golden", run_dir=folder, endpoint="", clock_offset_ns=0, pid=0
        )
        self._session.safety_dir.mkdir()
        self._bus, self._dispatcher = Bus(clock, host="golden"), Dispatcher(clock)
        self._params = launch_params()
        self.flight = Flight()
        self._hashes: dict[str, Any] = {}
        self._told: dict[str, str] = {}
        self._kept: list[Message] = []
        facts = {
            "host": "golden",
            "restarts": 0,
            "session": "golden",
            "clock_offset_ns": 0,
            "plugins": [],
            "node_dir": "",
            "launch_file": str(LAUNCH_FILE),
            "launch_sha256": "",
            "machine": dict(machine_facts()),
        }
        self._journal = HostJournal(clock, facts)

    async def run(self) -> Flight:
        """Fly the mission."""
        began = self._clock.now_ns()
        options = SubscriptionOptions(qos=QoS.lossless(), keep_expired=True)
        self._bus.subscribe("**", Message, self._note, options)
        body = Body(self._context("body", {}))
        world = find_scenario(self._mission.scenario).world(seed=self._mission.seed)
        body.take(world, self._mission.deeds, self._params["iot"]["mapping"])
        runners = [self._runner(name, cls, body) for name, cls in NODES.items()]
        runners.append(NodeRunner(body, "golden"))
        for step in (Transition.CONFIGURE, Transition.ACTIVATE):
            for runner in runners:
                await runner.change(step)
        await self._clock.sleep(self._mission.seconds)
        for runner in reversed(runners):
            await runner.change(Transition.SHUTDOWN)
        await self._clock.sleep(0.001)
        flight = self.flight
        flight.errors = sum(runner.node.errors for runner in runners)
        flight.hashes = {topic: one.hexdigest() for topic, one in sorted(self._hashes.items())}
        flight.counts = dict(sorted(flight.counts.items()))
        flight.dispatch = next(iter(self._dispatcher.digests().values()))
        self._dispatcher.close()
        await self._bus.close()
        if self._record is not None:
            self._write(self._record, began)
        return flight

    def _context(
        self, name: str, params: Mapping[str, Any], journal: JournalKeeper | None = None
    ) -> NodeContext:
        return NodeContext(
            name=name,
            namespace="rover",
            params=params,
            bus=self._bus,
            clock=self._clock,
            dispatcher=self._dispatcher,
            session=self._session,
            journal=journal,
        )

    def _runner(self, name: str, cls: type[Node], body: Body) -> NodeRunner:
        uses, params = f"{cls.__module__}:{cls.__name__}", self._params.get(name, {})
        spec = NodeSpec(name=name, uses=uses, namespace="rover", params=params)
        keeper = _Keeper.of(self._journal, spec.model_dump(mode="json"))
        keeper.body = body
        return NodeRunner(cls(self._context(name, params, keeper)), "golden", journal=keeper)

    def _note(self, message: Message) -> None:
        topic, frame = message.header.trace[-1].topic, encode(message)
        known = self._hashes.setdefault(topic, hashlib.sha256())
        known.update(len(frame).to_bytes(4, "little") + frame)
        self.flight.counts[topic] = self.flight.counts.get(topic, 0) + 1
        if self._record is not None:
            self._kept.append(message)
        for about, line in told_by(message):
            if self._told.get(about) != line:
                self._told[about] = line
                self.flight.story.append(line)

    def _write(self, folder: Path, began: int) -> None:
        rows = JournalPiece(
            host="golden", restarts=0, rows=np.frombuffer(self._journal.take(), np.uint8)
        )
        now = self._clock.now_ns()
        publisher = self._bus.publisher("@olympus/journal/golden", JournalPiece)
        batch = [Incoming.of(one.header.trace[-1].topic, one) for one in self._kept]
        batch.append(Incoming.of("@olympus/journal/golden", publisher.publish(rows)))
        with StreamStore(folder, is_durable=False) as store:
            store.begin_run(Run(number=0, session="golden", started=began, seen=began))
            store.add(batch, now_ns=now)
            store.end_run(now + 1)


def told_by(message: Message) -> list[tuple[str, str]]:
    """Return the lines of the story that a message tells: what about, and the line."""
    match message:
        case MissionState():
            return [("mission", f"mission: {message.state} ({message.reason.split(' for ')[0]})")]
        case SoundEvent():
            return [("", f"heard: {message.label}")]
        case SafetyState():
            return [("safety", f"safety: {message.state} {message.cause}".rstrip())]
        case Percept(kind="reading"):
            return [(message.how, f"alarm: {message.how} {message.label}")]
        case Percept(kind="object", label="person"):
            return [("person", "seen: a person")]
        case Text():
            return [("", message.text)]
    return []


def launch_params() -> dict[str, dict[str, Any]]:
    """Return what the shipped launch file gives its nodes, with the arguments' defaults."""
    launch = yaml.safe_load(LAUNCH_FILE.read_text())
    params = {name: dict(node.get("params", {})) for name, node in launch["nodes"].items()}
    params["navigator"]["speed_mps"] = launch["arguments"]["speed"]["default"]
    return params
