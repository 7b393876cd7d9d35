"""Zenoh's receiving threads, as Python sees them.

Python knows nothing of a thread that Rust made. When one calls a handler it gets a state of its own
for the call: an object, and 16 KB of stack that the kernel maps, zeroes and takes back. For a
thread that calls thousands of times a second that is a good part of what a message costs.
"""

from __future__ import annotations

import ctypes
import threading

_mine = threading.local()
_enter = ctypes.pythonapi.PyGILState_Ensure
"""Enters once more without leaving, so that the state outlives the call that is under way."""


def keep_thread() -> None:
    """Let the thread that calls keep its Python state until the process ends; again is harmless.

    To be called from a handler, in a thread of Zenoh's: there are a few of them, and they live as
    long as the process does.
    """
    if not hasattr(_mine, "is_kept"):
        _mine.is_kept = True
        _enter()
