"""A node goes on with what it had learned before it was started anew."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from olympus.nodes.recorder import Recorder
from olympus.runtime.bus import Bus
from olympus.runtime.bus.ipc import open_door
from olympus.runtime.clock import SystemClock
from olympus.runtime.errors import BusError
from olympus.runtime.messages import Ack, Command, Reading
from olympus.runtime.node import Node, output, service
from olympus.runtime.node.memory import recall
from olympus.runtime.node.testing import running


class Learner(Node):
    """Learns by being told, and remembers."""

    notes = output("notes", Reading)

    async def on_activate(self) -> None:
        self.known = await recall(self, self.full_topic("notes"), Reading, count=2)

    @service("learn")
    def on_lesson(self, lesson: Command) -> Ack:
        self.notes.publish(Reading(name=lesson.text, value=1.0, unit="1"))
        return Ack(ok=True)


async def test_what_was_learned_is_known_again(tmp_path: Path) -> None:
    with open_door(tmp_path / "s"):

        def bus(host: str) -> Bus:
            return Bus(SystemClock(), host=host, door=tmp_path / "s")

        params = {"path": str(tmp_path / "store"), "topics": ["rover/*"], "flush_hz": 20.0}
        async with running(Recorder, params=params, bus=bus("r"), name="recorder") as recorder:
            async with running(Learner, bus=bus("a"), name="learner", namespace="rover") as first:
                assert first.node.known == []
                for lesson in ("left", "right", "stop"):
                    first.node.on_lesson(Command(text=lesson, verb="learn"))
                async with asyncio.timeout(60):
                    while recorder.node.recorded < 3:
                        await asyncio.sleep(0.01)
            async with running(Learner, bus=bus("b"), name="learner", namespace="rover") as second:
                assert [one.name for one in second.node.known] == ["right", "stop"]
                assert second.node.known[0].header.source == "rover/learner"


async def test_without_a_recorder_it_is_told_so() -> None:
    with pytest.raises(BusError, match="recorder/history"):
        async with running(Learner):
            pass
