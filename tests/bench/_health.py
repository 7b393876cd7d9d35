"""Whether a patrol went well while it was measured: what it drove, lost, and complained of."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from olympus.runtime.launch.seat import Seat
from olympus.runtime.launch.testing import Launched
from olympus.sim.messages import Truth


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What happened besides the patrol."""

    metres: float
    """Driven, by the simulator's truth."""
    laps: int
    collisions: int
    people_seen: int
    """Percepts of people."""
    trips: int
    restarts: dict[str, int]
    """By process; those never restarted are left out."""
    complaints: list[str]
    """Log lines that are warnings or worse."""
    superseded: dict[str, int]
    """Messages that a newer one replaced before their turn, by topic and node: as intended."""
    lost: dict[str, int]
    """Messages lost for any other reason."""


class Watcher:
    """Looks on from its making to `health`."""

    def __init__(self, robot: Launched, seat: Seat) -> None:
        self._robot, self._seat = robot, seat
        self._truth = seat.watch("rover/sim/truth")
        self._percepts = seat.watch("rover/percepts")
        self._mission = seat.watch("rover/mission")
        self._logs = seat.watch("@olympus/log")

    def health(self) -> Health:
        """Return what happened so far."""
        truths: list[Truth] = self._truth.messages
        superseded, lost = self._drops()
        restarts = {n: self._robot.ledger(n).get("restarts", 0) for n in self._robot.pids()}
        return Health(
            metres=sum(_step_m(a, b) for a, b in pairwise(truths)),
            laps=max((m.laps for m in self._mission.messages), default=0),
            collisions=truths[-1].collisions if truths else 0,
            people_seen=sum(p.label == "person" for p in self._percepts.messages),
            trips=self._robot.safety.status().latch,
            restarts={name: count for name, count in restarts.items() if count},
            complaints=[
                f"{line.level} {line.logger}: {line.text}"
                for line in self._logs.messages
                if line.level not in ("debug", "info")
            ],
            superseded=superseded,
            lost=lost,
        )

    def _drops(self) -> tuple[dict[str, int], dict[str, int]]:
        superseded: Counter[str] = Counter()
        lost: Counter[str] = Counter()
        for host in self._seat.hosts.values():
            for end in host.topics:
                for reason, count in end.dropped.items():
                    where = f"{end.topic} at {end.node}"
                    if reason == "superseded":
                        superseded[where] += count
                    else:
                        lost[f"{where}: {reason}"] += count
        return dict(+superseded), dict(+lost)


def _step_m(a: Truth, b: Truth) -> float:
    return math.hypot(b.rover.x_m - a.rover.x_m, b.rover.y_m - a.rover.y_m)
