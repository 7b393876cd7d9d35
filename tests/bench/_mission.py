"""A mixed mission of a live robot: sentences, sounds, smoke, faults, stops, killed hosts."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from olympus.runtime.bus import Bus
from olympus.runtime.bus.joining import join
from olympus.runtime.clock import SystemClock
from olympus.runtime.launch.testing import Launched
from olympus.runtime.messages import Ack, Message
from olympus.sim.messages import Happen, SetFault

PATROL = Path(__file__).resolve().parents[2] / "launch" / "patrol.yaml"
ROUND_S = 120.0
"""After so long all of it happens again."""
SAY, FAULT, MEND, HAPPEN, STOP, RESET, PARAM, KILL = (
    "say", "fault", "mend", "happen", "stop", "reset", "param", "kill",
)  # fmt: skip
ROUND: tuple[tuple[float, str, str], ...] = (
    (1, SAY, "patrol the corridor"),
    (12, FAULT, "camera_frozen"),
    (16, MEND, "camera_frozen"),
    (18, RESET, ""),
    (20, HAPPEN, "smoke:kitchen"),
    (
        22,
        SAY,
        "could you drive over to the middle, hang on for five seconds and then go home",
    ),
    (34, HAPPEN, "smoke_clear:kitchen"),
    (38, FAULT, "mqtt_garbage"),
    (42, HAPPEN, "siren"),
    (44, MEND, "mqtt_garbage"),
    (46, SAY, "patrol the corridor until you see somebody"),
    (54, HAPPEN, "shout_stop"),
    (58, RESET, ""),
    (60, SAY, "would you please turn around and then carry on to the end"),
    (66, FAULT, "range_garbage"),
    (69, MEND, "range_garbage"),
    (72, FAULT, "microphone_dead"),
    (76, MEND, "microphone_dead"),
    (78, STOP, "somebody pressed it"),
    (81, RESET, ""),
    (83, SAY, "patrol the corridor"),
    (86, PARAM, "rover/navigator speed_mps 0.3"),
    (90, KILL, "control"),
    (96, RESET, ""),
    (98, SAY, "go to the start and wait there for three seconds"),
    (104, FAULT, "slip_factor"),
    (108, MEND, "slip_factor"),
    (110, PARAM, "rover/navigator speed_mps 0.4"),
    (112, FAULT, "battery_low"),
    (115, MEND, "battery_low"),
    (117, RESET, ""),
)
"""When, s from the beginning of a round, what, and which."""
SLIP = 0.3
ALONE = ("recorder", "audit", "world", "camera", "microphone", "iot", "detector", "listener",
         "percepts", "planner", "navigator", "drive", "conditions", "viewer")  # fmt: skip
GROUPINGS: dict[str, dict[str, list[str]] | None] = {
    "as shipped": None,
    "one host": {"robot": list(ALONE)},
    "a host each": {name: [name] for name in ALONE},
}
"""Which nodes are together in a process; None: as launch/patrol.yaml says."""
WATCHED = {
    "one host": {"robot": 1.0},
    "a host each": {"drive": 0.3, "navigator": 0.3, "detector": 0.8},
}
"""Hosts the guardian watches, s."""


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that is done to the robot."""

    at_s: float
    what: str
    which: str


def deeds(seconds: float) -> Iterator[Deed]:
    """Yield what happens in a mission, in order."""
    for begin in range(0, round(seconds), round(ROUND_S)):
        for at_s, what, which in ROUND:
            if begin + at_s < seconds:
                yield Deed(begin + at_s, what, which)


def grouped(folder: Path, grouping: str) -> Path:
    """Write launch/patrol.yaml with other hosts into a folder; return the file."""
    hosts = GROUPINGS[grouping]
    if hosts is None:
        return PATROL
    launch: dict[str, Any] = yaml.safe_load(PATROL.read_text())
    budgets: dict[str, Any] = {"respawn": {"policy": "always", "delay_s": 0.1}}
    launch["hosts"] = {name: {"nodes": nodes, **budgets} for name, nodes in hosts.items()}
    launch["nodes"]["audit"].pop("host")
    launch["safety"]["watch"] = WATCHED[grouping]
    file = folder / "grouped.yaml"
    file.write_text(yaml.safe_dump(launch))
    return file


def victim(grouping: str, name: str) -> str:
    """Return the host to kill; empty where that would be the recorder's too."""
    return {"as shipped": name, "a host each": "navigator"}.get(grouping, "")


class Mission:
    """Does the deeds of a mission to a launched robot, and counts what came of them."""

    def __init__(self, robot: Launched, grouping: str) -> None:
        """Take a robot that is active."""
        self._robot, self._grouping = robot, grouping
        self.done: dict[str, int] = {}
        """How often each kind of deed was done."""
        self.understood = 0
        """Sentences that were carried out."""
        self.untold = 0
        """Commands that the machine was too busy for."""
        self.resets = 0
        """That permitted motion."""

    async def run(self, seconds: float, say: Callable[[str], None]) -> None:
        """Do them all, each at its time.

        Args:
            seconds: Length of the mission.
            say: Told what is done.
        """
        session = self._robot.session
        clock = SystemClock(session.clock_offset_ns)
        bus = join(session, clock, host="mission")
        began = time.monotonic()
        try:
            for deed in deeds(seconds):
                await asyncio.sleep(max(0.0, began + deed.at_s - time.monotonic()))
                say(f"{deed.at_s:5.0f} s  {deed.what} {deed.which}")
                await self._do(bus, deed)
            await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
        finally:
            await bus.close()

    async def _do(self, bus: Bus, deed: Deed) -> None:
        self.done[deed.what] = self.done.get(deed.what, 0) + 1
        match deed.what:
            case "say":
                self.understood += await self._command("say", deed.which)
            case "fault" | "mend":
                value = SLIP if deed.which == "slip_factor" else 1.0
                fault = SetFault(name=deed.which, value=value if deed.what == FAULT else 0.0)
                await self._ask(bus, "rover/world/fault", fault)
            case "happen":
                await self._ask(bus, "rover/world/event", Happen(name=deed.which))
            case "stop":
                await asyncio.to_thread(self._robot.safety.stop, deed.which)
            case "reset":
                reset = await asyncio.to_thread(self._robot.safety.reset, "bench")
                self.resets += reset.is_confirmed
            case "param":
                await self._command("param", "set", *deed.which.split())
            case _:
                host = victim(self._grouping, deed.which)
                if pid := self._robot.pids().get(host, 0):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)

    async def _command(self, *words: str) -> bool:
        """Call `olympus`; when the machine is too busy the robot was not told, that is all."""
        try:
            done = await asyncio.to_thread(self._robot.command, *words)
        except subprocess.TimeoutExpired:
            self.untold += 1
            return False
        return done.returncode == 0

    @staticmethod
    async def _ask(bus: Bus, service: str, request: Message) -> None:
        answer = await bus.call(service, request, Ack, timeout_s=60.0)
        if not answer.ok:
            raise SystemExit(f"{service}: {answer.text}")
