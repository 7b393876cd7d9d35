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

_CODE = """\
import json, sys, time
began = time.monotonic_ns()
from olympus.runtime.cli.main import hurry
hurry()  # as `olympus stop` does first
from olympus.runtime.cli import safety
ready = time.monotonic_ns()
safety.run(["stop"])
print(json.dumps([began, ready]), file=sys.stderr)
"""
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


def measure_stops(rig: Rig, count: int) -> list[tuple[float, float]]:
    """Stop from a process of its own, as a second terminal does, and time it.

    Args:
        rig: The rig.
        count: How many times.

    Returns:
        Of each stop the ms that starting Python and importing took, and those from the call to the
        neutral motor command.

    Raises:
        CampaignError: A stop did not stop.
    """
    found = []
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
        ready_ns = json.loads(done.stderr.splitlines()[-1])[1]
        found.append(((ready_ns - began_ns) / 1e6, neutral_ms(rig, began_ns, ready_ns)))
    return found


def neutral_ms(rig: Rig, began_ns: int, asked_ns: int) -> float:
    """Return the ms from a stop to the neutral motor command.

    Args:
        rig: The rig.
        began_ns: Before the stop; what came earlier does not count.
        asked_ns: When the stop was asked for.

    Raises:
        CampaignError: The motor is not neutral.
    """
    rig.observer.happens(lambda: rig.observer.neutral_after(began_ns), 2.0)
    change = rig.observer.neutral_after(began_ns)
    if change is None:
        raise CampaignError(f"the stop did not stop: {rig.status()}")
    return (change.at_ns - asked_ns) / 1e6


def told(times: list[float]) -> str:
    """Return p50, p99, worst and how many, in words."""
    p50, p99, worst = (percentile(times, share) for share in (0.5, 0.99, 1.0))
    return f"p50 {p50:.1f}, p99 {p99:.1f}, worst {worst:.1f} ms, n={len(times)}"
