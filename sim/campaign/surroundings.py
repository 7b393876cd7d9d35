"""What the rig stands in: a small disk, a wall clock that can be stepped, a cable to elsewhere.

Each of them needs something of the system: root to mount and to make a network namespace, a C
compiler for the clock. What is not granted is left out, and its faults are skipped by name.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import select
import shutil
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from olympus.sim.campaign.watching import CampaignError

DISK_MB: Final = 96
KEY_NAME: Final = "campaign"
_SESSION_S: Final = 20.0
_SOURCE = Path(__file__).with_name("clockstep.c")
_REQUEST: Final = struct.Struct("16sH22x")
_GET_FLAGS, _SET_FLAGS, _IS_UP = 0x8913, 0x8914, 1
"""Of Linux: `struct ifreq`, SIOCGIFFLAGS, SIOCSIFFLAGS and IFF_UP."""


def _can(*words: str) -> bool:
    try:
        return subprocess.run(words, capture_output=True, check=False, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


class SmallDisk:
    """A file system of its own, small enough to be filled."""

    def __init__(self, folder: Path) -> None:
        """Mount it on an empty folder, where that is granted."""
        self.folder = folder
        size = f"size={DISK_MB}m,mode=700"
        self.is_mounted = os.geteuid() == 0 and _can(
            "mount", "-t", "tmpfs", "-o", size, "campaign", str(folder)
        )

    def fill(self) -> None:
        """Write until nothing more fits."""
        with (self.folder / "full").open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(1 << 20))
        with (self.folder / "full").open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(64))

    def empty(self) -> None:
        """Take away what fills it."""
        (self.folder / "full").unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it."""
        if self.is_mounted:
            self.is_mounted = not _can("umount", "-l", str(self.folder))


class WallClock:
    """The wall clock of the robot's processes alone, which are started with `environment`."""

    def __init__(self, folder: Path) -> None:
        """Build the library that steps it, where there is a compiler."""
        self._offset = folder / "clock"
        library = folder / "clockstep.so"
        compiler = shutil.which("cc") or shutil.which("gcc")
        self.is_ours = compiler is not None and _can(
            compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(_SOURCE), "-ldl"
        )
        self.environment: dict[str, str] = {}
        if self.is_ours:
            self.step(0)
            self.environment = {"LD_PRELOAD": str(library), "CAMPAIGN_CLOCK": str(self._offset)}

    def step(self, seconds: float) -> None:
        """Set the clock so many seconds off, at once."""
        flags = os.O_WRONLY | os.O_CREAT
        file = os.open(self._offset, flags, 0o600)
        os.pwrite(file, struct.pack("<q", round(seconds * 1e9)), 0)
        os.close(file)


class Cable:
    """A second machine, as a network namespace with a cable to this one; else this machine."""

    def __init__(self) -> None:
        """Lay the cable, where that is granted."""
        number = os.getpid() % 200 + 20
        name, near = f"olyrig{os.getpid()}", f"oly{os.getpid()}"
        self.address, self._near, self._name = f"10.78.{number}.1", near, name
        self.is_laid = os.geteuid() == 0 and _can("ip", "netns", "add", name)
        steps = (
            f"link add {near} type veth peer name cable netns {name}",
            f"addr add {self.address}/24 dev {near}",
            f"link set {near} up",
            f"-n {name} addr add 10.78.{number}.2/24 dev cable",
            f"-n {name} link set cable up",
            f"-n {name} link set lo up",
        )
        if self.is_laid and not all(_can("ip", *step.split()) for step in steps):
            self.close()
        if not self.is_laid:
            self.address = "127.0.0.1"
        with socket.socket() as probe:
            probe.bind((self.address, 0))
            self.endpoint = f"tcp/{self.address}:{probe.getsockname()[1]}"

    @property
    def command(self) -> list[str]:
        """What goes before a command to run it over there."""
        return ["ip", "netns", "exec", self._name] if self.is_laid else []

    def pull(self) -> None:
        """Pull the cable out: it is out when this returns.

        Raises:
            OSError: The system refuses.
        """
        _switch(self._near, is_up=False)

    def plug(self) -> None:
        """Put it back.

        Raises:
            OSError: The system refuses.
        """
        _switch(self._near, is_up=True)

    @property
    def is_plugged(self) -> bool:
        """Whether the near end of it is up."""
        flags = Path(f"/sys/class/net/{self._near}/flags").read_text()
        return bool(int(flags, 16) & _IS_UP)

    def close(self) -> None:
        """Take it away, and the other machine with it."""
        if self.is_laid:
            _can("ip", "netns", "del", self._name)
            _can("ip", "link", "del", self._near)
            self.is_laid = False


def _switch(interface: str, *, is_up: bool) -> None:
    """Do what `ip link set` does, at once: a busy machine may take a second to start a program."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        raw = fcntl.ioctl(asker, _GET_FLAGS, _REQUEST.pack(interface.encode(), 0))
        flags = _REQUEST.unpack(raw)[1]
        flags = flags | _IS_UP if is_up else flags & ~_IS_UP
        fcntl.ioctl(asker, _SET_FLAGS, _REQUEST.pack(interface.encode(), flags))


class Remote:
    """A commander on the other machine, silent until it is told to speak."""

    def __init__(self, cable: Cable, topic: str, clock_offset_ns: int) -> None:
        """Start it and wait until it has a session.

        Raises:
            CampaignError: It gets none.
        """
        words = [sys.executable, "-m", "olympus.sim.campaign.remote"]
        self._process = subprocess.Popen(
            [*cable.command, *words, cable.endpoint, topic, str(clock_offset_ns)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        out = self._process.stdout
        if out is None or not select.select([out], [], [], _SESSION_S)[0] or not out.readline():
            self._process.kill()
            self.close()
            raise CampaignError(f"the remote commander gets no session within {_SESSION_S:g} s")

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def tell(self, word: str) -> None:
        """Tell it `on` or `off`.

        Raises:
            CampaignError: It has ended.
        """
        if self._process.stdin is not None:
            try:
                self._process.stdin.write(word + "\n")
                self._process.stdin.flush()
            except OSError as error:
                raise CampaignError(f"the remote commander has ended: {error}") from error

    def close(self) -> None:
        """End it, frozen or cut off though it may be."""
        if self._process.stdin is not None:
            with suppress(OSError):  # what was still to be written to one that is gone
                self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(3)
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def write_key(folder: Path) -> tuple[Path, bytes]:
    """Write a file of keys for sealed stops, and return it and the key."""
    key, path = secrets.token_bytes(32), folder / "keys"
    path.write_text(f"{KEY_NAME} {key.hex()}\n")
    path.chmod(0o600)
    return path, key
