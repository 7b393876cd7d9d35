"""Launching a whole robot in a test or a benchmark: real processes, and a seat on their bus.

with Launched(Path("launch/patrol.yaml"), "viewer_port:=0", root=folder, go=True) as robot:
robot.until_active()
async with robot.joined() as seat:
truth = seat.watch("rover/sim/truth")
await seat.until(lambda: truth.newest.linear_mps > 0.1, "it drives")
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from olympus.runtime.bus.joining import join
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session
from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.ledger import read_ledger
from olympus.runtime.launch.seat import Seat
from olympus.runtime.safety.client import SafetyClient

_OLYMPUS = (sys.executable, "-c", "from olympus.runtime.cli import main; main()")
_TIED = "from olympus.runtime.lifeline import tie_to_parent; tie_to_parent(); "
"""A test run that is killed takes its robots along."""
_LOOK_S = 0.02
_PRESS_S = 0.3
"""Pressed sooner after a refusal, it counts as held."""
_LEAVE_S = 30.0


class Launched:
    """`olympus launch` as a process of its own; nothing of it is left when the block ends."""

    def __init__(
        self,
        file: Path,
        *words: str,
        root: Path,
        name: str = "robot",
        go: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Plan it.

        Args:
            file: The launch file.
            words: `key:=value` words.
            root: Takes the place of the user's run-time folder; exists, ours alone, and its name is
                short, since the name of a socket has at most 107 bytes.
            name: Of the session.
            go: Whether motion is permitted and the mission sent as soon as all is active.
            environment: What its processes find in their environment besides ours.
        """
        self.root, self.name = root, name
        self._words = ["launch", str(file), *words, "--session", name, *(["--go"] if go else [])]
        self._more = dict(environment or {})
        self.left_behind: list[int] = []
        """Processes that outlived the launcher; they were ended then."""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def run_dir(self) -> Path:
        """The session's folder."""
        return self.root / "olympus" / self.name

    @property
    def session(self) -> Session:
        """The running session.

        Raises:
            ConfigError: There is none yet, or no more.
        """
        return Session.load(self.run_dir)

    @property
    def safety(self) -> SafetyClient:
        """The guardian, as a person at a terminal reaches it."""
        return SafetyClient(self.run_dir / "safety")

    @property
    def output(self) -> str:
        """What the launcher has printed."""
        return (self.root / f"{self.name}.output").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The launcher's process."""
        return self._process.pid if self._process is not None else 0

    def ledger(self, process: str) -> dict[str, Any]:
        """Return what the launcher says of one of its processes; empty while it says nothing."""
        told = read_ledger(self.run_dir).get("processes")
        entry = told.get(process) if isinstance(told, dict) else None
        return dict(entry) if isinstance(entry, dict) else {}

    def pids(self) -> dict[str, int]:
        """Return the processes of the session by name, the launcher too."""
        told = read_ledger(self.run_dir).get("processes")
        names = list(told) if isinstance(told, dict) else []
        found = {name: int(self.ledger(name).get("pid") or 0) for name in names}
        return {"launcher": self.pid, **{name: pid for name, pid in found.items() if pid}}

    def alive(self) -> list[int]:
        """Return every process that was started with this session's run-time folder."""
        mark = f"XDG_RUNTIME_DIR={self.root}\0".encode()
        return [pid for pid in _processes() if mark in _environment(pid)]

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Call `olympus` on this session, as a person would at another terminal."""
        return subprocess.run(
            [*_OLYMPUS, *words],
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def until_active(self, within_s: float = 60.0) -> None:
        """Wait until the launcher says that everything is active.

        Raises:
            LaunchError: It did not, or it ended.
        """
        deadline = time.monotonic() + within_s
        while "everything is active" not in self.output:
            self.check("everything is active", deadline)
            time.sleep(_LOOK_S)

    async def permit(self, within_s: float = 15.0) -> None:
        """Reset, like a person who looks and presses again when it was refused.

        Args:
            within_s: How long to go on pressing, s.

        Raises:
            LaunchError: It was refused all the time, with the reason; or the launcher ended.
        """
        deadline = time.monotonic() + within_s
        while not (told := self.safety.reset("test")).is_confirmed:
            self.check(f"permission to move; {told.text}", deadline)
            await asyncio.sleep(_PRESS_S)

    def check(self, what: str, deadline: float) -> None:
        """See that there is sense in waiting on.

        Args:
            what: Is waited for.
            deadline: `time.monotonic()` from which waiting is in vain.

        Raises:
            LaunchError: The time is up, or the launcher has ended.
        """
        if self._process is None or self._process.poll() is not None:
            raise LaunchError(f"the launcher ended before: {what}\n{self.output}")
        if time.monotonic() > deadline:
            raise LaunchError(f"not in time: {what}\n{self.output}")

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[Seat]:
        """Take a seat on the robot's bus.

        Yields:
            The seat.

        Raises:
            BusError: The bus can't be reached.
        """
        session = self.session
        clock = SystemClock(session.clock_offset_ns)
        bus = join(session, clock, host=f"test-{os.getpid()}")
        try:
            yield Seat(bus, self.check)
        finally:
            await bus.close()

    def stop(self) -> int:
        """Press Ctrl-C and wait; return the launcher's exit code."""
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LEAVE_S)
        return self._clear(process)

    def __enter__(self) -> Self:
        """Start it."""
        output = (self.root / f"{self.name}.output").open("wb")
        with output:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _TIED + _OLYMPUS[-1], *self._words],
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop it, and end whatever would be left."""
        self.stop()

    def _environment(self) -> dict[str, str]:
        ours = {"XDG_RUNTIME_DIR": str(self.root), "COLUMNS": "200"}
        homes = {"XDG_DATA_HOME": "data", "XDG_CONFIG_HOME": "config"}
        ours |= {name: str(self.root / folder) for name, folder in homes.items()}
        return {**os.environ, **self._more, **ours}

    def _clear(self, process: subprocess.Popen[bytes]) -> int:
        """End the launcher if it still runs, and everything it should have ended."""
        if process.poll() is None:
            process.kill()
        code = process.wait()
        self.left_behind += self.alive()
        for pid in self.left_behind:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return code


def _processes() -> list[int]:
    """Return the processes of this machine, our own left out."""
    found = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in found if pid != os.getpid()]


def _environment(pid: int) -> bytes:
    """Return what a process was started with; empty when it has ended or is another user's."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return b"" if state == "Z" else Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
