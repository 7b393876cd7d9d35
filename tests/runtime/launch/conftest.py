"""Launch files in a folder of their own, and launchers that run there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Write = Callable[..., Path]

DRIVER = "from olympus.runtime.cli import main; main()"
NODES = """
import signal, time
from pydantic import Field
from olympus.runtime.errors import DeviceError
from olympus.runtime.messages import Command
from olympus.runtime.node import Node, NodeParams, subscribe, timer

class Lamp(Node):
    class Params(NodeParams):
        level: float = Field(0.5, ge=0, le=1, description="How bright it is.")
        name: str = "lamp"
        is_broken: bool = False
        hangs: bool = False
        url: str = ""

    async def on_activate(self):
        if self.params.is_broken:
            raise DeviceError("the lamp is broken; change the bulb")
        self.log.info("lit", level=self.params.level)

    @subscribe("command")
    def on_command(self, command: Command) -> None:
        self.log.warning(f"told to {command.text}")

    @timer(0.1)
    def on_timer(self):
        if self.params.hangs:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
            self.log.warning("hanging")
            time.sleep(600)

    def on_params(self, changed):
        self.log.warning("changed", level=self.params.level)
"""
ROBOT = """
name: robot
namespace: rover
params_file: tuned.yaml
safety: {watch: {two: 2.0}, lease_ms: 1000}
nodes:
  first: {uses: "lamp_node:Lamp", host: one}
  second: {uses: "lamp_node:Lamp", host: two, depends_on: [first], params: {level: 0.3}}
  third: {uses: "lamp_node:Lamp", host: two, depends_on: [second]}
"""


class Site:
    """A folder with a launch file, and launchers that run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.launchers: list[subprocess.Popen[str]] = []
        (folder / "lamp_node.py").write_text(NODES)
        (folder / "robot.yaml").write_text(ROBOT)
        (folder / "tuned.yaml").write_text("second: {level: 0.4}\n")

    @property
    def run_dir(self) -> Path:
        return self.folder / "olympus" / "robot"

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-c", DRIVER, *words]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "XDG_RUNTIME_DIR": str(self.folder)}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=100,
        )

    def launch(self, *words: str) -> subprocess.Popen[str]:
        output = (self.folder / "output").open("w")
        with output:
            process = subprocess.Popen(
                self.command("launch", "robot.yaml", *words),
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
            )
        self.launchers.append(process)
        return process

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    def ledger(self) -> dict[str, object]:
        try:
            content: dict[str, object] = json.loads((self.run_dir / "launch.json").read_text())
        except (OSError, ValueError):
            return {}
        return content

    def process(self, name: str) -> dict[str, object]:
        processes = self.ledger().get("processes", {})
        found = processes.get(name, {}) if isinstance(processes, dict) else {}
        return dict(found)

    def until(self, condition: Callable[[], bool], within_s: float = 60.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {within_s:g} s; the launcher said:\n{self.output}")
            time.sleep(0.02)

    def until_running(self) -> None:
        self.until(lambda: self.ledger().get("state") == "running")
        self.until(lambda: "motion is stopped" in self.output)

    def marked(self) -> list[int]:
        """Return the processes of this site: those that know its folder."""
        mark = f"XDG_RUNTIME_DIR={self.folder}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                    if mark in (entry / "environ").read_bytes() and state != "Z":
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found


@pytest.fixture
def site() -> Iterator[Site]:
    """Yield a site of its own; at its end no process of it may be left."""
    # A short path: the name of a unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="oly") as folder:
        made = Site(Path(folder))
        yield made
        for launcher in made.launchers:
            launcher.kill()
            launcher.wait(30)
        made.until(lambda: not made.marked())


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a file below a temporary folder and returns its path."""

    def write_file(text: str, name: str = "robot.yaml") -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    return write_file
