"""A params file that changes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from olympus.runtime.errors import LaunchError, ParamError
from olympus.runtime.launch.params import Params
from olympus.runtime.launch.tuning import Tuning, difference


class Robot:
    """Two nodes, and a file that says what their params should be."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.file.write_text("0")
        self.wanted: dict[str, Params] = {"a": {"x": 1}, "b": {"y": 1}}
        self.actual: dict[str, Params] = {"a": {"x": 1}, "b": {"y": 1}}
        self.stubborn = ""
        self.broken = False
        self.said: list[tuple[str, str]] = []

    async def read(self) -> Mapping[str, Params]:
        if self.broken:
            raise LaunchError("tuned.yaml:1: no valid YAML")
        return {node: dict(params) for node, params in self.wanted.items()}

    async def apply(self, node: str, params: Params) -> None:
        if node == self.stubborn:
            raise ParamError(f"{node} refuses")
        self.actual[node] |= params

    def say(self, text: str, level: str) -> None:
        self.said.append((level, text))

    def edit(self, **wanted: Params) -> None:
        self.wanted |= wanted
        self.file.write_text(self.file.read_text() + ".")
        os.utime(self.file)


async def watched(robot: Robot, edit: Callable[[], None]) -> None:
    current = {node: dict(params) for node, params in robot.actual.items()}
    tuning = Tuning((robot.file,), current, robot.read, robot.apply, robot.say)
    task = asyncio.create_task(tuning.run())
    edit()
    async with asyncio.timeout(10):
        while not robot.said:
            await asyncio.sleep(0.02)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_change_reaches_the_nodes(tmp_path: Path) -> None:
    robot = Robot(tmp_path / "tuned.yaml")
    await watched(robot, lambda: robot.edit(a={"x": 5}))
    assert robot.actual == {"a": {"x": 5}, "b": {"y": 1}}
    assert robot.said == [("good", "tuned.yaml: applied a.x=5")]


async def test_when_one_node_refuses_the_others_get_their_old_values_back(tmp_path: Path) -> None:
    robot = Robot(tmp_path / "tuned.yaml")
    robot.stubborn = "b"
    await watched(robot, lambda: robot.edit(a={"x": 5}, b={"y": 5}))
    assert robot.actual == {"a": {"x": 1}, "b": {"y": 1}}
    assert robot.said == [("error", "tuned.yaml: refused, the old values stay: b refuses")]


async def test_a_file_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    robot = Robot(tmp_path / "tuned.yaml")
    robot.broken = True
    await watched(robot, lambda: robot.edit(a={"x": 5}))
    assert robot.actual["a"] == {"x": 1}
    assert robot.said[0][0] == "error"


def test_a_difference_tells_one_from_true() -> None:
    assert difference({"a": {"x": 1, "y": 2}}, {"a": {"x": True, "y": 2.0}}) == {"a": {"x": True}}
