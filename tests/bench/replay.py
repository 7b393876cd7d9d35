"""A mixed mission, recorded live from real processes, replays bit for bit, again and again.

    ./run bench replay --minutes 10 --times 20 --load
    ./run bench replay --minutes 1 --times 3 --groupings "one host"

Records the mission of tests/bench/_mission.py (camera, sound, IoT, models, sentences for the
planner, faults, stops, killed hosts) once for each grouping of the nodes into processes, and
replays the recordings in turn with `olympus replay --verify`, each time in a new process with
another hash seed. With `--load` the recordings are made at the same time, so that the robots take
the cores from each other, and all but the first replay of each run as many at a time as there are
cores. Exit code 1 unless all replays are equal and have the same hashes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from _machine import described
from _mission import GROUPINGS, Mission, grouped

from olympus.runtime.bus import Bus
from olympus.runtime.clock import SystemClock
from olympus.runtime.launch.testing import Launched
from olympus.runtime.messages import Twist
from olympus.runtime.node import Node, NodeContext, output, subscribe
from olympus.runtime.node.journal import HostJournal, JournalKeeper
from olympus.runtime.node.lifecycle import Transition
from olympus.runtime.node.runner import NodeRunner
from olympus.runtime.replay.recording import Recording
from olympus.runtime.scheduler import Dispatcher

PARTS = ("onnxruntime", "numpy", "lmdb", "msgpack")
ROUNDS = 20_000
_OLYMPUS = (sys.executable, "-c", "from olympus.runtime.cli import main; main()")


class Echo(Node):
    """Takes a message, looks at the clock, publishes one: what most handlers do."""

    out = output("out", Twist)

    @subscribe("in")
    def on_in(self, twist: Twist) -> None:
        """Answer."""
        self.clock.now_ns()
        self.out.publish(twist, cause=twist)


async def handler_us(is_journaled: bool) -> float:
    """Return the CPU time that one handled message costs, us."""
    clock = SystemClock()
    bus, dispatcher = Bus(clock, host="bench"), Dispatcher(clock)
    journal = HostJournal(clock, {})
    keeper = JournalKeeper.of(journal, {}) if is_journaled else None
    node = Echo(
        NodeContext(name="echo", bus=bus, clock=clock, dispatcher=dispatcher, journal=keeper)
    )
    runner = NodeRunner(node, "bench", journal=keeper)
    await runner.change(Transition.CONFIGURE)
    await runner.change(Transition.ACTIVATE)
    publisher = bus.publisher("in", Twist)
    began = time.process_time()
    for _ in range(ROUNDS):
        publisher.publish(Twist(linear_mps=0.1, angular_radps=0.2))
        await asyncio.sleep(0)
        if journal.size > 65536:
            journal.take()
    took_s = time.process_time() - began
    await runner.change(Transition.SHUTDOWN)
    dispatcher.close()
    await bus.close()
    return took_s / ROUNDS * 1e6


def tell(text: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


@dataclass
class Take:
    """One recording, and what came of its replays."""

    grouping: str
    store: Path
    mission: Mission
    processes: int
    """The launcher, the guardian and the broker too."""
    busy_share: float
    """Of all cores while it was recorded."""
    replays: list[dict[str, Any]] = field(default_factory=list)

    def is_equal(self, replay: dict[str, Any]) -> bool:
        """Tell whether a replay is equal to the recording, and to the first replay of it."""
        return bool(replay["is_equal"]) and _hashes(replay) == _hashes(self.replays[0])

    def report(self) -> dict[str, Any]:
        """Return what is worth telling."""
        first, number = self.replays[0], len(self.replays)
        topics = first["topics"].values()
        speed = {
            name: round(median(one["replayed_s"] / one["took_s"] for one in found), 1)
            for name in ("alone", "beside others")
            if (found := [r for r in self.replays if r["is_loaded"] == (name != "alone")])
        }
        return {
            "processes": self.processes,
            "cores busy while recording": round(self.busy_share, 2),
            "deeds": self.mission.done,
            "sentences carried out": self.mission.understood,
            "commands the machine was too busy for": self.mission.untold,
            "resets that permitted motion": self.mission.resets,
            "recorded_s": round(first["replayed_s"], 1),
            "events": first["events"],
            "messages compared": first["compared"],
            "messages not covered by a journal": sum(one["uncovered"] for one in topics),
            "dispatch records": first["decisions"],
            "equal": f"{sum(map(self.is_equal, self.replays))} of {number}",
            "differences": sorted({text for one in self.replays for text in one["differences"]})[
                :5
            ],
            "times real time, median": speed,
            "journal B/s": round(journal_bytes(self.store) / first["replayed_s"]),
            "topics": {name: one["equal"] for name, one in first["topics"].items()},
        }


def _hashes(replay: dict[str, Any]) -> dict[str, str]:
    return {topic: one["sha256"] for topic, one in replay["topics"].items()}


def record(root: Path, grouping: str, seconds: float) -> Take:
    """Record the mission."""
    tell(f"{grouping}: recording {seconds / 60:g} min")
    store = root / f"record-{grouping.replace(' ', '-')}"
    words = ["replay:=true", "viewer_port:=0", f"recorder.path:={store}"]
    with tempfile.TemporaryDirectory(prefix="oly") as name:
        file = grouped(Path(name), grouping)
        with Launched(file, *words, root=Path(name), go=True) as robot:
            robot.until_active(180)
            processes = len(robot.pids())
            mission = Mission(robot, grouping)
            psutil.cpu_percent()
            asyncio.run(mission.run(seconds, lambda text: tell(f"{grouping}: {text}")))
            busy_share = psutil.cpu_percent() / 100
    return Take(grouping, store, mission, processes, busy_share)


def replay(take: Take, *, is_loaded: bool) -> dict[str, Any]:
    """Replay a recording in a process of its own."""
    environment = {**os.environ, "PYTHONHASHSEED": "random"}
    command = [*_OLYMPUS, "replay", str(take.store), "--verify", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if not done.stdout.startswith("{"):
        raise SystemExit(f"the replay of {take.grouping} failed:\n{done.stderr}")
    return {**json.loads(done.stdout), "is_loaded": is_loaded}


def journal_bytes(store: Path) -> int:
    """Return the size of all journals."""
    with Recording(store) as recording:
        return sum(piece.rows.nbytes for _, _, pieces in recording.journals() for piece in pieces)


def measure(root: Path, asked: argparse.Namespace) -> list[Take]:
    """Record each grouping, then replay the recordings in turn."""
    with ThreadPoolExecutor(len(asked.groupings) if asked.load else 1) as pool:
        one = partial(record, root, seconds=asked.minutes * 60)
        takes = list(pool.map(one, asked.groupings))
    order = [takes[number % len(takes)] for number in range(asked.times)]
    for take in order[: len(takes)]:
        put_down(take, replay(take, is_loaded=False))
    cores = os.cpu_count() or 1
    with ThreadPoolExecutor(cores if asked.load else 1) as pool:
        rest = order[len(takes) :]
        for take, found in zip(
            rest, pool.map(partial(replay, is_loaded=asked.load), rest), strict=True
        ):
            put_down(take, found)
    return takes


def put_down(take: Take, found: dict[str, Any]) -> None:
    """Keep and tell what came of a replay."""
    take.replays.append(found)
    word = "equal" if take.is_equal(found) else "DIFFERENT"
    number = len(take.replays)
    what = f"{found['compared']} messages, {found['took_s']:.0f} s"
    tell(f"{take.grouping}, replay {number}: {word}, {what}")
    for text in found["differences"][:3]:
        tell(text)


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="./run bench replay", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="of the mission")
    parser.add_argument("--times", type=int, default=20, help="replays of all recordings together")
    parser.add_argument("--load", action="store_true", help="keep every core busy besides")
    parser.add_argument("--groupings", nargs="+", choices=GROUPINGS, default=list(GROUPINGS))
    parser.add_argument("--keep", type=Path, help="folder for the recordings; else deleted")
    asked = parser.parse_args(argv)
    asked.times = max(asked.times, len(asked.groupings))
    plain, kept = (min(asyncio.run(handler_us(one)) for _ in range(3)) for one in (False, True))
    with tempfile.TemporaryDirectory(prefix="oly") as name:
        root = asked.keep or Path(name)
        takes = measure(root, asked)
        report: dict[str, Any] = {take.grouping: take.report() for take in takes}
    equal = sum(take.is_equal(one) for take in takes for one in take.replays)
    report["equal"] = f"{equal} of {asked.times}"
    report["handler CPU us without and with a journal"] = [round(plain, 2), round(kept, 2)]
    sys.stdout.write(f"{described(PARTS)}\n{json.dumps(report, indent=1)}\n")
    return 0 if equal == asked.times else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
