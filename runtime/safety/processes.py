"""What the kernel says of other processes: whether they run at all, and whether at a terminal.

A heartbeat tells of a loop that hangs, once its limit is over. That a process has ended or was
frozen is known to the kernel at once, so the guardian asks it at every look.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

_ENDED: Final = "ZXx"
_FROZEN: Final = "Tt"
_STATE, _TERMINAL = 0, 4
_SIZE: Final = 1024


class ProcessWatch:
    """Looks at the processes behind heartbeats and gates; one short read for each."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        """Look under `proc`, the kernel's table of processes."""
        self._proc = proc
        self._open: dict[int, int] = {}
        self.is_able = _can_see(proc)
        """Whether the kernel shows processes at all; where not, only heartbeats tell."""

    def problem(self, pid: int) -> str:
        """Say what keeps a process from running; empty when nothing does.

        Args:
            pid: The process, as it named itself. Its file stays open, so that another process
                that is given the same number later is not taken for it.
        """
        if not self.is_able:
            return ""
        state = self._state(pid)
        if state in _FROZEN:
            return f"process {pid} is stopped"
        return f"process {pid} has ended" if state in _ENDED else ""

    def keep(self, pids: Iterable[int]) -> None:
        """Forget every process but these."""
        for pid in set(self._open).difference(pids):
            os.close(self._open.pop(pid))

    def close(self) -> None:
        """Close all files."""
        self.keep(())

    def _state(self, pid: int) -> str:
        try:
            if pid not in self._open:
                # The main thread's own file: the one of the process adds up all its threads.
                path = self._proc / str(pid) / "task" / str(pid) / "stat"
                self._open[pid] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            return _fields(os.pread(self._open[pid], _SIZE, 0))[_STATE]
        except (FileNotFoundError, ProcessLookupError):
            return "X"
        except (OSError, IndexError):
            return "?"  # no descriptor to spare: heartbeats still tell


def has_terminal(pid: int | None, proc: Path = Path("/proc")) -> bool:
    """Say whether a process belongs to a terminal, such as a shell's command does.

    Services, hosts of a launch and everything they start have none.
    """
    if pid is None:
        return False
    try:
        return _fields((proc / str(pid) / "stat").read_bytes())[_TERMINAL] != "0"
    except (OSError, IndexError):
        return False


def _fields(raw: bytes) -> list[str]:
    """Return what follows the name, which may itself hold spaces and brackets."""
    return raw.rpartition(b")")[2].decode(errors="replace").split()


def _can_see(proc: Path) -> bool:
    with contextlib.suppress(OSError, IndexError):
        return bool(_fields((proc / str(os.getpid()) / "stat").read_bytes())[_STATE])
    return False


def idle(names: Iterable[tuple[str, int]], watch: ProcessWatch) -> Iterator[str]:
    """Say what is wrong with named processes, `NAME: process 12 is stopped`."""
    for name, pid in names:
        problem = watch.problem(pid)
        if problem:
            yield f"{name}: {problem}"
