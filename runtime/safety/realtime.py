"""What the system grants a guardian: real-time priority, locked memory, an end with its parent."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import resource
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from olympus.runtime.safety.settings import Settings

_MCL_CURRENT: Final = 1
_MCL_FUTURE: Final = 2
_PR_SET_PDEATHSIG: Final = 1
_CAP_IPC_LOCK: Final = 14
_MEMORY_KINDS: Final = ("tmpfs", "ramfs")
_STATUS: Final = Path("/proc/self/status")
_AUTOGROUP: Final = Path("/proc/self/autogroup")
_NICE: Final = -20
NOT_ASKED: Final = "not asked for"


def prepare(settings: Settings) -> Mapping[str, str]:
    """Ask for everything that makes the guardian's timing better.

    Args:
        settings: Says what to ask for.

    Returns:
        Per thing asked for, `granted …` or `refused: …` with the reason; a refusal is no error.
    """
    urgent = real_time(settings.sched_fifo, whole_process=True)
    if urgent.startswith("refused"):
        urgent += f"; in its place {less_nice(_NICE, whole_process=True)}"
    granted = {
        "sched_fifo": urgent,
        "memory_lock": _lock_memory() if settings.lock_memory else NOT_ASKED,
        "storage": storage_kind(settings.dir),
    }
    gc.collect()
    gc.freeze()
    return granted


def join(priority: int | None) -> None:
    """Give the calling thread the guardian's priority; a refusal was told at the start."""
    if priority is not None:
        real_time(priority)


def end_with_parent() -> None:
    """Ask the kernel for SIGTERM when the thread that started this process ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)


def storage_kind(directory: Path, mounts: Path = Path("/proc/self/mountinfo")) -> str:
    """Say whether a directory is kept in memory or on a disk.

    Args:
        directory: An existing directory.
        mounts: The kernel's table of mounts.

    Returns:
        `granted: tmpfs`, or a refusal that says why a disk is worse.
    """
    device = directory.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in mounts.read_text().splitlines():
        before, _, after = line.partition(" - ")
        if before.split()[2] == wanted:
            kind = after.split()[0]
            break
    else:
        kind = "an unknown file system"
    if kind in _MEMORY_KINDS:
        return f"granted: {kind}"
    return f"refused: {directory} is on {kind}, whose writeback may delay a write; use a tmpfs"


def real_time(priority: int | None, *, whole_process: bool = False) -> str:
    """Give the calling thread a real-time priority.

    Args:
        priority: 1..99, or None to ask for nothing.
        whole_process: Give it to all threads, those to come too: one at ordinary priority that is
            put aside while it holds the interpreter's lock would keep the urgent one waiting.

    Returns:
        `granted …`, or `refused: …` with the reason and the way out.
    """
    if priority is None:
        return NOT_ASKED
    policy = os.SCHED_FIFO if whole_process else os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    try:
        for thread in _threads() if whole_process else (0,):
            with contextlib.suppress(ProcessLookupError):  # one that has just ended
                os.sched_setscheduler(thread, policy, os.sched_param(priority))
    except OSError as error:
        return (
            f"refused: {error.strerror} for priority {priority}; "
            "raise RLIMIT_RTPRIO (rtprio in limits.conf) or grant CAP_SYS_NICE"
        )
    return f"granted: priority {priority}"


def less_nice(nice: int, *, whole_process: bool = False) -> str:
    """Give the calling thread a niceness, which threads and processes it makes don't inherit.

    Args:
        nice: -20..-1.
        whole_process: Give it to all threads that there are, and let them hand it on.

    Returns:
        `granted …`, or `refused: …` with the reason.
    """
    try:
        if not whole_process:
            os.sched_setscheduler(0, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK, os.sched_param(0))
        for thread in _threads() if whole_process else (0,):
            with contextlib.suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, thread, nice)
        favour_session(_AUTOGROUP, nice)
    except OSError as error:
        return f"refused: {error.strerror} for nice {nice}"
    return f"granted: nice {nice}"


def favour_session(group: Path, nice: int) -> None:
    """Let a niceness count between sessions, which Linux groups by itself where the feature is on.

    Source: sched(7), "The autogroup feature": a nice value then only counts within one session, and
    that of the session is set in /proc.

    Args:
        group: `/proc/PID/autogroup`. A kernel without the feature has no such file; for what was
            never grouped it is empty and takes no value: a niceness counts everywhere there.
        nice: -20..19.

    Raises:
        OSError: The kernel refuses it.
    """
    with contextlib.suppress(FileNotFoundError):
        if group.read_text().strip():
            group.write_text(str(nice))


def limit_spinning(told_s: float, ended_s: float | None) -> None:
    """Let the kernel tell or end this process when a real-time thread runs on without waiting.

    Args:
        told_s: After so long it sends SIGXCPU.
        ended_s: After so long it ends the process, by SIGKILL; None for never.
    """
    hard = resource.getrlimit(resource.RLIMIT_RTTIME)[1]
    most = hard if ended_s is None else round(ended_s * 1e6)
    hard = most if hard == resource.RLIM_INFINITY else min(hard, most)
    told = round(told_s * 1e6)
    soft = told if hard == resource.RLIM_INFINITY else min(told, hard)
    resource.setrlimit(resource.RLIMIT_RTTIME, (soft, hard))


def forgive_spinning(pid: int = 0) -> None:
    """Take such a limit from a process again, as far as it was not ended by it.

    Args:
        pid: A process that inherited the limit of its parent; 0 for this one.

    Raises:
        OSError: It has ended.
    """
    hard = resource.prlimit(pid, resource.RLIMIT_RTTIME)[1]
    resource.prlimit(pid, resource.RLIMIT_RTTIME, (hard, hard))


def _threads() -> list[int]:
    return [int(task.name) for task in Path("/proc/self/task").iterdir()]


def _lock_memory() -> str:
    flags = _MCL_CURRENT
    if may_lock_all(resource.getrlimit(resource.RLIMIT_MEMLOCK)[0], _STATUS.read_text()):
        flags |= _MCL_FUTURE
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mlockall(flags) == 0:
        future = ", future memory too" if flags & _MCL_FUTURE else ", present memory only"
        return f"granted{future}"
    return f"refused: {os.strerror(ctypes.get_errno())}; raise RLIMIT_MEMLOCK to 64 MiB or more"


def may_lock_all(limit: int, about: str) -> bool:
    """Tell whether memory to come may be locked: with a limit, a later allocation would fail.

    Args:
        limit: RLIMIT_MEMLOCK.
        about: `/proc/self/status`.
    """
    rights = about.partition("CapEff:")[2].split()
    has_right = bool(rights) and bool(int(rights[0], 16) >> _CAP_IPC_LOCK & 1)
    return limit == resource.RLIM_INFINITY or has_right
