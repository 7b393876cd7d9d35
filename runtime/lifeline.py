"""Ends a process with the one that started it, however that one ended.

Two ties, because each has a gap: the kernel's parent-death signal is set only once this process
runs, and a pipe's end is noticed only by a thread that gets to run. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def tie_to_parent(lifeline_fd: int | None = None) -> None:
    """End this process with SIGKILL when its parent ends.

    Call it first thing, from the main thread.

    Args:
        lifeline_fd: Reading end of a pipe whose writing end only the parent holds; None for the
            kernel's signal alone. It is not handed on to children of this process.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if lifeline_fd is None:
        return
    os.set_inheritable(lifeline_fd, False)
    thread = threading.Thread(target=_follow, args=(lifeline_fd,), name="lifeline", daemon=True)
    thread.start()


def _follow(lifeline_fd: int) -> None:
    while os.read(lifeline_fd, 64):
        pass
    group = os.getpgid(0)
    # A process that leads its own group takes what it started along.
    os.killpg(group, signal.SIGKILL) if group == os.getpid() else os.kill(
        os.getpid(), signal.SIGKILL
    )
