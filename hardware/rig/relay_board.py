"""The dead-man relay as a process: its firmware under MicroPython, unchanged, on a real pty."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import threading
import time
import tty
from pathlib import Path
from typing import Final

BOARD: Final = Path(__file__).resolve().parent / "board"
FIRMWARE: Final = Path(__file__).resolve().parent.parent / "firmware" / "dead_man"


class RelayBoard:
    """A running board; its contact's changes are stamped as they happen, whatever it reports."""

    def __init__(self, micropython: Path, folder: Path) -> None:
        """Power it up.

        Args:
            micropython: MicroPython's unix port.
            folder: An empty folder for what passes between the process and this one.
        """
        self.changes: list[tuple[int, bool]] = []
        """When the contact changed, CLOCK_MONOTONIC in ns, and whether it is closed since."""
        self._weld = folder / "weld"
        leader, follower = pty.openpty()
        tty.setraw(leader)
        tty.setraw(follower)
        self._ends = (leader, follower)
        self.port = os.ttyname(follower)
        """What the computer opens."""
        self._log, log = os.pipe()
        env = {"RELAY_LOG": f"/dev/fd/{log}", "RELAY_WELD": str(self._weld)}
        path = f"{BOARD}:{FIRMWARE}:.frozen"
        self.process = subprocess.Popen(
            [str(micropython), str(FIRMWARE / "main.py")],
            stdin=leader,
            stdout=leader,
            env={**os.environ, **env, "MICROPYPATH": path},
            pass_fds=(log,),
        )
        """The board: kill it to pull its plug."""
        os.close(log)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    @property
    def is_closed(self) -> bool:
        """Whether the contact is closed now."""
        return bool(self.changes) and self.changes[-1][1]

    def opened_after(self, since_ns: int) -> int | None:
        """Return when the contact first opened after `since_ns`; None if it has not."""
        opened = (at_ns for at_ns, closed in list(self.changes) if not closed and at_ns > since_ns)
        return next(opened, None)

    def weld(self) -> None:
        """Let the contact stick."""
        self._weld.touch()

    def unweld(self) -> None:
        """Let it go again."""
        self._weld.unlink(missing_ok=True)

    def close(self) -> None:
        """Switch it off."""
        self.process.kill()
        self.process.wait(10)
        self._watcher.join(10)
        for end in (*self._ends, self._log):
            os.close(end)

    def _watch(self) -> None:
        while True:
            select.select([self._log], [], [])
            now_ns = time.monotonic_ns()
            changes = os.read(self._log, 64)
            if not changes:  # no power, no contact
                self.changes.append((now_ns, False))
                return
            self.changes += [(now_ns, one == ord("C")) for one in changes]
