"""Long quiet driving, in which any stop is a false one; and how long a person's stop takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

from olympus.sim.campaign.report import percentile
from olympus.sim.campaign.rig import Rig
from olympus.sim.campaign.watching import CampaignError

_CODE = (
    "import json,sys,time; began=time.monotonic_ns(); from olympus.runtime.cli import safety; "
    "ready=time.monotonic_ns(); safety.run(['stop']); "
    "print(json.dumps([began, ready]), file=sys.stderr)"
)
_LOOK_S = 0.5


def soak(rig: Rig, seconds: float) -> list[str]:
    """Drive on; permit again after each false trip.

    Args:
        rig: The rig.
        seconds: How long.

    Returns:
        The cause of each false trip.
    """
    trips: list[str] = []
    until = time.monotonic() + seconds
    rig.drive()
    while time.monotonic() < until:
        rig.observer.happens(lambda: not rig.observer.is_driven, _LOOK_S)
        status = rig.status()
        if not rig.observer.is_driven or status is None or not status.is_permitted:
            trips.append(status.cause if status is not None else "no guardian answers")
            rig.drive()
    return trips


def measure_stops(rig: Rig, count: int) -> str:
    """Stop from a process of its own, as a second terminal does, and time it.

    Args:
        rig: The rig.
        count: How many times.

    Returns:
        The figures in words: start of Python and imports apart from the stop.

    Raises:
        CampaignError: A stop did not stop.
    """
    neutral, starting = [], []
    path = os.pathsep.join(sys.path)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(rig.root), "PYTHONPATH": path}
    for _ in range(count):
        rig.drive()
        began_ns = time.monotonic_ns()
        done = subprocess.run(
            [sys.executable, "-S", "-c", _CODE],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if not done.stderr.strip():
            raise CampaignError("olympus stop told nothing")
        _, ready_ns = json.loads(done.stderr.splitlines()[-1])
        change = rig.observer.neutral_after(began_ns)
        if change is None:
            raise CampaignError(f"olympus stop did not stop: {done.stdout}")
        neutral.append((change.at_ns - ready_ns) / 1e6)
        starting.append((ready_ns - began_ns) / 1e6)
    return f"stop to neutral: {_told(neutral)}; before it, starting Python: {_told(starting)}"


def _told(times: list[float]) -> str:
    p50, p99, worst = (percentile(times, share) for share in (0.5, 0.99, 1.0))
    return f"p50 {p50:.1f}, p99 {p99:.1f}, worst {worst:.1f} ms, n={len(times)}"
