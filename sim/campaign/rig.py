"""The rig: a launched robot of real processes whose motors an observer plays."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from olympus.runtime.errors import OlympusError
from olympus.runtime.launch.testing import Launched
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.status import Status
from olympus.sim.campaign.standstill import Standstills
from olympus.sim.campaign.surroundings import Cable, Remote, SmallDisk, WallClock, write_key
from olympus.sim.campaign.victims import socket_name
from olympus.sim.campaign.watching import CampaignError, Watching

FILE = Path(__file__).with_name("rig.yaml")
START_S = 60.0
PERMIT_S = 45.0
_PRESS_S = 0.25
_DRIVEN_S = 3.0
_WOUNDED_S = 5.0
_BACK_S = 20.0
_LOOK_S = 0.03
_MODULES = {"gate": b"olympus.nodes.motor_process", "gateway": b"olympus.runtime.bus.gateway"}


class Rig:
    """Everything that is hurt, and who watches; started again when it was hurt too much."""

    def __init__(self, name: str = "") -> None:
        """Make the folders; `start` launches."""
        memory = Path("/dev/shm")
        base = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
        self.root = Path(tempfile.mkdtemp(prefix="rig", dir=base))
        self.name = name or f"campaign-{os.getpid()}"
        self._apart = Path(tempfile.mkdtemp(prefix="rig"))
        self.disk = SmallDisk(self.root)
        """The file system of the run-time folder."""
        self.clock = WallClock(self._apart)
        """The wall clock of every process of the robot."""
        self.cable = Cable()
        """The way to another machine."""
        self._keys, self.key = write_key(self._apart)
        self._remote: Remote | None = None
        self.contact = self.root / "contact"
        """What stands for the contact of a stop button: 0 while it is closed."""
        self.starts = 0
        """How often the robot was launched."""
        self.observer = Watching(self.root / "ttyRIG")
        self.standstills = Standstills()
        """Knows when the machine itself stood still."""
        self.begun_ns = 0
        """When the newest fault took hold, if that was later than it was begun."""
        self.false_trips: list[str] = []
        """Causes of trips that came before anything was hurt."""
        self.excused: list[str] = []
        """Why trials were begun again: what kept the motor from driving when it was to be hurt."""
        self.stood_still: list[str] = []
        """Trials that were begun again since the machine itself stood still, and for how long."""
        self._robot: Launched | None = None
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Start the observers and the robot."""
        self._stack.enter_context(self.standstills)
        self._stack.enter_context(self.observer)
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End everything that was started."""
        self.end()
        self._stack.close()
        self.cable.close()
        self.disk.close()
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self._apart, ignore_errors=True)

    @property
    def robot(self) -> Launched:
        """The launched robot.

        Raises:
            CampaignError: It is not running.
        """
        if self._robot is None:
            raise CampaignError("the rig's robot is not running; call start() first")
        return self._robot

    @property
    def safety_dir(self) -> Path:
        """The session's safety directory."""
        return self.robot.run_dir / "safety"

    @property
    def client(self) -> SafetyClient:
        """The guardian, as a person reaches it."""
        return SafetyClient(self.safety_dir)

    def start(self) -> None:
        """Launch the robot."""
        self.disk.empty()
        self.clock.step(0)
        self.release()
        words = (
            f"port:={self.observer.link}",
            f"keys:={self._keys}",
            f"stop_file:={self.contact}",
            f"listen:={self.cable.endpoint}",
        )
        self._robot = Launched(
            FILE, *words, root=self.root, name=self.name, environment=self.clock.environment
        )
        self._robot.__enter__()
        self._robot.until_active(START_S)
        self.starts += 1

    def release(self) -> None:
        """Let the stop button go."""
        self.contact.write_text("0\n")

    def remote(self) -> Remote:
        """Return the commander on the other machine; it is started when first asked for."""
        if self._remote is not None and not self._remote.is_alive:
            self._remote.close()
            self._remote = None
        if self._remote is None:
            offset_ns = self.robot.session.clock_offset_ns
            self._remote = Remote(self.cable, "rig/cmd_vel", offset_ns)
        return self._remote

    def end(self) -> None:
        """End the robot, frozen processes too."""
        if self._remote is not None:
            self._remote.close()
            self._remote = None
        if self._robot is not None:
            for pid in self._robot.alive():
                with suppress(OSError):
                    os.kill(pid, signal.SIGCONT)
            with suppress(OlympusError):
                self._robot.__exit__(None, None, None)
            self._robot = None

    def pid(self, process: str) -> int:
        """Return the process of a name; `gate` is that of the motors, `gateway` Zenoh's.

        One that was killed is waited for: it drives without those that nothing waits for, and the
        launcher writes down anew who runs once a second only while it has no room to.

        Raises:
            CampaignError: It is not running.
        """
        module, until = _MODULES.get(process), time.monotonic() + _BACK_S
        while time.monotonic() < until:
            found = self._running(module) if module else self.robot.pids().get(process, 0)
            if found and is_running(found):
                return found
            time.sleep(_LOOK_S)
        raise CampaignError(f"{process} is not running")

    def wound(self, host: str, words: str) -> int:
        """Send a wound to the victim in a host.

        Returns:
            When the victim began to suffer it, CLOCK_MONOTONIC in ns.

        Raises:
            CampaignError: It did not begin.
        """
        node = "rig/commander" if host == "control" else f"rig/{host}_victim"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(_WOUNDED_S)
            try:
                sender.bind("")  # a name of the kernel's choice, to be answered at
                self._hand_over(sender, words.encode(), socket_name(self.name, node))
                return int(sender.recv(100))
            except OSError as error:
                raise CampaignError(f"{words!r} does not reach {node}: {error}") from error

    def _hand_over(self, sender: socket.socket, words: bytes, name: str) -> None:
        """Send it as soon as somebody listens; a victim that was killed is waited for.

        Raises:
            ConnectionRefusedError: Nobody does, after all.
        """
        until = time.monotonic() + _BACK_S
        while True:
            try:
                sender.sendto(words, name)
            except ConnectionRefusedError:
                if time.monotonic() > until:
                    raise
                time.sleep(_LOOK_S)
            else:
                return

    def status(self) -> Status | None:
        """Return the guardian's view, or None while none answers."""
        try:
            return self.client.status()
        except OlympusError:
            return None

    def drive(self) -> None:
        """Permit motion, as a person does who presses again, and wait until the motors turn.

        Raises:
            CampaignError: It does not come to that, even after starting anew.
        """
        if not self._robot or not self._is_alive() or not self._permitted(PERMIT_S):
            self.end()
            self.start()
            if not self._permitted(PERMIT_S):
                raise CampaignError(f"the rig does not drive: {self.status()}\n{self.robot.output}")

    def _permitted(self, within_s: float) -> bool:
        until = time.monotonic() + within_s
        while time.monotonic() < until and self._is_alive():
            status = self.status()
            if status is not None and not status.blockers:
                if not status.is_permitted:
                    self.client.reset("campaign")
                if self.observer.happens(lambda: self.observer.is_driven, _DRIVEN_S):
                    return True
            time.sleep(_PRESS_S if status is not None and not status.blockers else _LOOK_S)
        return False

    def _is_alive(self) -> bool:
        try:
            os.kill(self.robot.pid, 0)
            self.robot.check("the rig is alive", time.monotonic() + 1)
        except (OSError, OlympusError):
            return False
        return True

    def _running(self, module: bytes) -> int:
        for pid in self.robot.alive():
            with suppress(OSError):
                if module in Path(f"/proc/{pid}/cmdline").read_bytes():
                    return pid
        return 0


def is_running(pid: int) -> bool:
    """Tell whether a process is there and has not ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False
