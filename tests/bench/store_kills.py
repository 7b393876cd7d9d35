"""Kill -9 of a recorder at random instants, and random damage to what it left.

    ./run bench store_kills
    ./run bench store_kills --kills 25 --damages 50

A real recorder node, durable and flushing 20 times a second, records small messages and pictures;
it is killed at a random instant, the opening of the store included, and another takes up the same
session. After every kill the store is opened and every record of that life compared with what was
published. At the end of a store all that was published is either recorded, or named in a gap.

Then the file is damaged: bits flipped, sectors overwritten, ends cut off. Whoever reads it must get
what was written, or an error that says where; whoever writes to it must not crash. The seed decides
when, who and what.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from _machine import described
from _store_damage import Damages, small_store
from _store_life import PICTURE, SMALL, Slate, forked, is_right, record

from olympus.runtime.config import Session
from olympus.runtime.errors import MessageError, StoreError
from olympus.runtime.messages import decode
from olympus.runtime.store import StreamStore
from olympus.runtime.store.upkeep import check_all

LIVES_PER_STORE = 100
LONGEST_LIFE_S = 0.6
DELIVERY_S = 0.1
"""What a message may take on a busy machine from its publication to the recorder's batch."""


@dataclass(slots=True)
class Outcome:
    """What the campaign found."""

    machine: str
    kills: int = 0
    seconds: float = 0.0
    published: int = 0
    recorded: int = 0
    named_missing: int = 0
    before_first: int = 0
    """Published before the first commit of a store: lives that ended before they knew the topic."""
    killed_while: dict[str, int] = field(default_factory=dict)
    lost_window_ms: dict[str, float] = field(default_factory=dict)
    """From the publication of the oldest message that was lost to the kill."""
    commit_ms: dict[str, float] = field(default_factory=dict)
    """The longest commit of each life."""
    damages: dict[str, dict[str, int]] = field(default_factory=dict)
    """By kind of damage: read as written, error named, crash, silently wrong."""
    complaints: list[str] = field(default_factory=list)


class Kills:
    """Lives of recorders, one after the other."""

    def __init__(self, folder: Path, seed: int, outcome: Outcome) -> None:
        self._folder, self._luck, self.outcome = folder, random.Random(seed), outcome
        self._windows: list[float] = []
        self._commits: list[float] = []

    def run(self, kills: int) -> Path:
        """Kill so many; return the last store."""
        began, place = time.monotonic(), self._folder / "0"
        for first in range(0, kills, LIVES_PER_STORE):
            if place.exists():
                shutil.rmtree(place)
            place = self._folder / str(first)
            self._one_store(place, min(LIVES_PER_STORE, kills - first))
            self._say(f"{self.outcome.kills} kills, {len(self.outcome.complaints)} complaints")
        self.outcome.seconds = round(time.monotonic() - began, 1)
        self.outcome.lost_window_ms = spread(self._windows)
        self.outcome.commit_ms = spread(self._commits)
        return place

    def _one_store(self, place: Path, kills: int) -> None:
        run_dir = place.with_name(place.name + "-run")
        session = Session(
            name=place.name, run_dir=run_dir, endpoint="", clock_offset_ns=time.time_ns()
            - time.monotonic_ns(), pid=os.getpid(),
        )  # fmt: skip
        slate = Slate()
        for _ in range(kills):
            self._one_life(place, slate, session)
        self._last_life(place, slate, session)
        shutil.rmtree(run_dir, ignore_errors=True)

    def _one_life(self, place: Path, slate: Slate, session: Session) -> None:
        before = {name: slate[name] for name in ("small", "picture")}
        slate["recorded"] = slate["flush"] = slate["commit_ns"] = 0
        pid = forked(lambda: asyncio.run(record(place, slate, session)))
        time.sleep(self._luck.uniform(0.0, LONGEST_LIFE_S))
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic_ns()
        os.waitpid(pid, 0)
        self.outcome.kills += 1
        is_begun = any(slate[name] > before[name] for name in before)
        doing = "recording" if is_begun else "opening"
        self.outcome.killed_while[doing] = self.outcome.killed_while.get(doing, 0) + 1
        if slate["commit_ns"]:
            self._commits.append(slate["commit_ns"] / 1e6)
        try:
            self._look(place, slate, before, killed)
        except (MessageError, StoreError) as error:
            self._complain(f"after kill {self.outcome.kills}: {error}")

    def _look(self, place: Path, slate: Slate, before: dict[str, int], killed: int) -> None:
        if not (place / "data.mdb").exists():
            return
        kept = 0
        with StreamStore(place, read_only=True) as store:
            known = store.topics()
            if store.runs():
                self._check(not store.runs()[-1].is_complete, "a killed run calls itself complete")
            for name, topic in (("small", SMALL), ("picture", PICTURE)):
                first, last = before[name] + 1, slate[name]
                newest = before[name]
                if topic in known and last >= first:
                    newest = self._compare(store, name, topic, first)
                kept += newest - before[name]
                if newest < last and slate["flush"]:
                    self._lost(slate, name, newest + 1, killed)
        told = slate["recorded"]
        self._check(kept >= told, f"{told} were said to be recorded, {kept} are there")

    def _compare(self, store: StreamStore, name: str, topic: str, first: int) -> int:
        """Compare the newest records with what was published; return the newest number."""
        wanted, newest = first, first - 1
        found = [decode(frame) for frame in store.newest(topic, 4096)]
        for message in found:
            seq = message.header.seq
            if seq < first:
                continue
            self._check(seq == wanted, f"{topic}: no. {seq} where {wanted} belongs")
            self._check(is_right(name, seq, message), f"{topic} no. {seq} says something else")
            wanted, newest = seq + 1, seq
        return newest

    def _lost(self, slate: Slate, name: str, seq: int, killed: int) -> None:
        window = killed - slate.published_at(name, seq)
        self._windows.append(window / 1e6)
        bound = killed - slate["flush"] + DELIVERY_S * 1e9
        self._check(
            window <= bound,
            f"{name} no. {seq} was published {window / 1e6:.0f} ms before the kill and is lost, "
            f"the last finished flush began {(killed - slate['flush']) / 1e6:.0f} ms before it",
        )

    def _last_life(self, place: Path, slate: Slate, session: Session) -> None:
        """Let a recorder come to its end; then everything is recorded or named."""
        slate["recorded"] = slate["end"] = 0
        pid = forked(lambda: asyncio.run(record(place, slate, session)))
        deadline = time.monotonic() + 60
        while not slate["recorded"] and time.monotonic() < deadline:
            time.sleep(0.01)
        slate["end"] = 1
        _, status = os.waitpid(pid, 0)
        self._check(status == 0, f"the last recorder ended with {status}")
        with StreamStore(place, read_only=True) as store:
            gaps, recorded = store.gaps(), {t: store.count(t) for t in store.topics()}
            for name, topic in (("small", SMALL), ("picture", PICTURE)):
                missing = sum(gap.missing for gap in gaps if gap.topic == topic)
                first = next(iter(store.records(topic))).seq
                self.outcome.before_first += first - 1
                have = recorded[topic] + missing + first - 1
                self._check(have == slate[name], f"{topic}: {have} of {slate[name]} accounted for")
                self.outcome.published += slate[name]
                self.outcome.recorded += recorded[topic]
                self.outcome.named_missing += missing
            check_all(store)
            self._check(store.runs()[-1].ended > 0, "the last run has no end")

    def _check(self, is_so: bool, complaint: str) -> None:
        if not is_so:
            self._complain(complaint)

    def _complain(self, complaint: str) -> None:
        self.outcome.complaints.append(complaint)
        self._say(complaint)

    def _say(self, text: str) -> None:
        sys.stderr.write(text + "\n")


def spread(values: list[float]) -> dict[str, float]:
    """Return how values are spread."""
    if not values:
        return {}
    p50, p99 = map(float, np.percentile(values, [50, 99]))
    shown = {"p50": p50, "p99": p99, "max": max(values)}
    return {"n": len(values), **{name: round(value, 1) for name, value in shown.items()}}


def main() -> None:
    """Kill, damage and tell."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--damages", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where the stores lie, for a disk of its own")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    outcome = Outcome(described(["lmdb"]))
    gc.freeze()
    with tempfile.TemporaryDirectory(prefix="oly", dir=options.folder) as folder:
        Kills(Path(folder), options.seed, outcome).run(options.kills)
        whole = small_store(Path(folder) / "small")
        damages = Damages(whole, Path(folder), options.seed)
        outcome.damages = damages.run(options.damages)
        outcome.complaints += damages.complaints
    told = asdict(outcome)
    lines = json.dumps(told) if options.json else "\n".join(f"{k}: {v}" for k, v in told.items())
    sys.stdout.write(lines + "\n")
    raise SystemExit(bool(outcome.complaints))


if __name__ == "__main__":
    main()
