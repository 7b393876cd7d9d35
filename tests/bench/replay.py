"""How fast a recording replays, whether it is equal each time, and what keeping a journal costs.

    ./run bench replay --seconds 120 --times 5
    ./run bench replay --load --hosts 1

Records the patrol of launch/patrol.yaml with its journals, replays it several times, and compares
the hashes of all topics. `--load` keeps every core busy besides, while recording and replaying;
`--hosts 1` puts all nodes that are replayed into one process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _machine import described

from olympus.runtime.bus import Bus
from olympus.runtime.clock import SystemClock
from olympus.runtime.launch.testing import Launched
from olympus.runtime.messages import Twist
from olympus.runtime.node import Node, NodeContext, output, subscribe
from olympus.runtime.node.journal import HostJournal, JournalKeeper
from olympus.runtime.node.lifecycle import Transition
from olympus.runtime.node.runner import NodeRunner
from olympus.runtime.replay.engine import Engine
from olympus.runtime.replay.outcome import Outcome
from olympus.runtime.replay.recording import JOURNALS, Recording
from olympus.runtime.scheduler import Dispatcher

PATROL = Path(__file__).resolve().parents[2] / "launch" / "patrol.yaml"
PARTS = ("onnxruntime", "numpy", "lmdb", "msgpack")
TOGETHER = """
include: [{{file: {patrol}}}]
hosts:
  perception: {{nodes: [detector, listener, percepts, planner, navigator, drive, conditions]}}
"""
ROUNDS = 20_000


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


def _burn() -> None:
    while True:
        sum(range(100_000))


@contextmanager
def busy(is_wanted: bool) -> Iterator[None]:
    """Keep every core busy, if that is wanted."""
    burners = [multiprocessing.Process(target=_burn, daemon=True) for _ in range(4)]
    for burner in burners if is_wanted else ():
        burner.start()
    try:
        yield
    finally:
        for burner in burners if is_wanted else ():
            burner.terminate()


def record(root: Path, seconds: float, *, file: Path) -> Path:
    """Record a patrol."""
    store = root / "record"
    words = ["replay:=true", "viewer_port:=0", f"recorder.path:={store}"]
    with Launched(file, *words, root=root, go=True) as robot:
        robot.until_active(180)
        time.sleep(seconds)
    return store


def replayed(store: Path) -> tuple[Outcome, float]:
    """Replay a recording; return what came of it, and how long it took, s."""
    began = time.perf_counter()
    with Recording(store) as recording:
        outcome = Engine(recording).run()
    return outcome, time.perf_counter() - began


def journal_bytes(store: Path) -> int:
    """Return the size of all journals."""
    with Recording(store) as recording:
        return sum(piece.rows.nbytes for _, _, pieces in recording.journals() for piece in pieces)


def measure(seconds: float, times: int, *, is_busy: bool, is_together: bool) -> dict[str, Any]:
    """Record once, replay several times."""
    with tempfile.TemporaryDirectory(prefix="oly") as name, busy(is_busy):
        root = Path(name)
        file = root / "together.yaml"
        file.write_text(TOGETHER.format(patrol=PATROL))
        store = record(root, seconds, file=file if is_together else PATROL)
        found = [replayed(store) for _ in range(times)]
        first = found[0][0]
        hashes = {topic: one.digest for topic, one in first.tallies.items()}
        length_s = (first.ended_ns - first.began_ns) / 1e9
        equal = sum(
            one.is_equal and {t: x.digest for t, x in one.tallies.items()} == hashes
            for one, _ in found
        )
        return {
            "recorded_s": round(length_s, 1),
            "events": first.events,
            "messages compared": first.compared,
            "dispatch records": first.decisions,
            "equal": f"{equal} of {times}",
            "differences": [str(one) for one in first.differences[:3]],
            "times real time": round(length_s / min(took for _, took in found), 1),
            "journal B/s": round(journal_bytes(store) / length_s),
            "topics": [topic for topic in hashes if not topic.startswith(JOURNALS)],
        }


def main(argv: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="./run bench replay", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--load", action="store_true")
    parser.add_argument("--hosts", type=int, choices=(1, 3), default=3)
    asked = parser.parse_args(argv)
    plain, kept = (min(asyncio.run(handler_us(one)) for _ in range(3)) for one in (False, True))
    found = measure(asked.seconds, asked.times, is_busy=asked.load, is_together=asked.hosts == 1)
    found["handler CPU us without and with a journal"] = [round(plain, 2), round(kept, 2)]
    sys.stdout.write(f"{described(PARTS)}\n{json.dumps(found, indent=1)}\n")
    return 0 if found["equal"] == f"{asked.times} of {asked.times}" else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
