"""Endless loops, to measure beside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TIED = "from olympus.runtime.lifeline import tie_to_parent; tie_to_parent()"
_IDLE = "import os; os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))"
_PINNED = "import os; os.sched_setaffinity(0, {{{core}}})"
_LOOP = "print(flush=True)\nwhile True: pass"


@contextmanager
def endless_loops(count: int | None = None, *, idle: bool = False) -> Iterator[None]:
    """Keep cores busy meanwhile.

    Args:
        count: How many loops, each where the system puts it; one on each core without.
        idle: They run at SCHED_IDLE, as background work does, instead of the ordinary priority.
    """
    cores = sorted(os.sched_getaffinity(0)) if count is None else []
    places = [[_PINNED.format(core=core)] for core in cores] or [[] for _ in range(count or 0)]
    loops = []
    try:
        for place in places:
            program = "\n".join([_TIED, *place, *([_IDLE] if idle else []), _LOOP])
            loops.append(subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE))
        for loop in loops:
            assert loop.stdout is not None
            loop.stdout.readline()
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.communicate()
