"""The door to the golden missions: list, check, accept."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from golden_missions import MISSIONS, fly, machine_kind

KEPT = Path(__file__).with_name("missions.json")
SHUFFLED: tuple[tuple[str, str], ...] = (("1", "0.005"), ("4021", "0.000005"), ("77", "1.0"))
"""Hash seed and thread switch interval, s, of each run of a shuffled check."""
Flights = dict[str, dict[str, Any]]


def run_apart(name: str, hash_seed: str = "random", switch_s: str = "0.005") -> dict[str, Any]:
    """Fly a mission in a process of its own.

    Args:
        name: Of the mission.
        hash_seed: Of Python's hashes: the order of sets depends on it.
        switch_s: How long a thread keeps the interpreter.

    Raises:
        RuntimeError: It fails.
    """
    command = [sys.executable, __file__, "fly", name, "--switch", switch_s]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def run_all(names: Sequence[str], how: tuple[str, str] = ("random", "0.005")) -> Flights:
    """Fly missions, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        flights = pool.map(lambda name: run_apart(name, *how), names)
        return dict(zip(names, flights, strict=True))


def kept() -> dict[str, Any]:
    """Return what is kept: the stories, and the hashes by kind of machine."""
    if not KEPT.is_file():
        return {"stories": {}, "hashes": {}}
    found: dict[str, Any] = json.loads(KEPT.read_text())
    return found


def differences(known: dict[str, Any], flights: Flights) -> Iterator[str]:
    """Yield in what flights differ from what is kept."""
    hashes = known["hashes"].get(machine_kind(), {})
    for name, flight in flights.items():
        if flight["errors"]:
            yield f"{name}: {flight['errors']} handlers failed"
        story = known["stories"].get(name)
        if story is None:
            yield f"{name}: is new"
            continue
        if story != flight["story"]:
            yield from _story_difference(name, story, flight["story"])
        yield from _hash_differences(name, hashes.get(name), flight)


def _story_difference(name: str, before: list[str], now: list[str]) -> Iterator[str]:
    for index in range(max(len(before), len(now))):
        old = before[index] if index < len(before) else "nothing"
        new = now[index] if index < len(now) else "nothing"
        if old != new:
            yield f"{name}: line {index + 1} of the story was {old!r} and is {new!r}"


def _hash_differences(
    name: str, before: dict[str, list[Any]] | None, flight: dict[str, Any]
) -> Iterator[str]:
    if before is None:
        return
    now = _hashes(flight)
    for topic in sorted({*before, *now}):
        old, new = before.get(topic, [0, "none"]), now.get(topic, [0, "none"])
        if old != new:
            yield f"{name}: {topic} was {old[0]} messages {old[1][:12]}, is {new[0]} {new[1][:12]}"


def _hashes(flight: dict[str, Any]) -> dict[str, list[Any]]:
    found = {topic: [flight["counts"][topic], one] for topic, one in flight["hashes"].items()}
    return {**found, "(dispatch trace)": [1, flight["dispatch"]]}


def flown(names: Sequence[str], hows: Sequence[tuple[str, str]]) -> list[str]:
    """Fly missions once for each hash seed and switch interval; return what differs.

    On a kind of machine of which no hashes are kept, the later flights are held to the first.
    """
    known = kept()
    found: list[str] = []
    for how in hows:
        flights = run_all(names, how)
        found += differences(known, flights)
        first = {name: _hashes(flight) for name, flight in flights.items()}
        known["hashes"].setdefault(machine_kind(), first)
    return found


def check(names: Sequence[str], *, shuffle: bool) -> int:
    """Fly missions and compare; with `shuffle` several times, with all varied that may vary."""
    found = flown(names, SHUFFLED if shuffle else SHUFFLED[:1])
    _say(*found)
    if machine_kind() not in kept()["hashes"]:
        _say(f"no hashes are kept for this kind of machine, only stories: {machine_kind()}")
    _say(f"{len(found)} differences" if found else f"{len(names)} missions as they are kept")
    return 1 if found else 0


def accept(names: Sequence[str], *, yes: bool) -> int:
    """Show what has changed, and keep it."""
    known, flights = kept(), run_all(names)
    changed = list(differences(known, flights))
    _say(*changed)
    kind = machine_kind()
    if not changed and kind in known["hashes"]:
        _say("nothing has changed")
        return 0
    if not yes and input("keep this? [y/N] ").strip().lower() != "y":
        return 1
    hashes = known["hashes"] if not changed else {kind: known["hashes"].get(kind, {})}
    hashes.setdefault(kind, {})
    for name, flight in flights.items():
        known["stories"][name] = flight["story"]
        hashes[kind][name] = _hashes(flight)
    known["hashes"] = hashes
    KEPT.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
    _say(f"kept in {KEPT.name}; hashes of other kinds of machines are dropped where any changed")
    return 0


def main(argv: Sequence[str]) -> int:
    """Do what is asked."""
    parser = argparse.ArgumentParser(prog="./run golden", description=__doc__)
    parser.add_argument("do", nargs="?", choices=["list", "check", "accept", "fly"], default="list")
    parser.add_argument("missions", nargs="*", help="which; all when left out")
    parser.add_argument("--shuffle", action="store_true", help="vary all that may vary")
    parser.add_argument("--yes", action="store_true", help="accept without a question")
    parser.add_argument("--switch", type=float, default=0.005, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    names = asked.missions or list(MISSIONS)
    if unknown := [name for name in names if name not in MISSIONS]:
        parser.error(f"no mission {unknown[0]!r}; there are {', '.join(MISSIONS)}")
    match asked.do:
        case "fly":
            sys.setswitchinterval(asked.switch)
            _say(json.dumps(asdict(fly(MISSIONS[names[0]]))))
        case "check":
            return check(names, shuffle=asked.shuffle)
        case "accept":
            return accept(names, yes=asked.yes)
        case _:
            _say(*(f"{name:16} {one.seconds:4g} s  {one.text}" for name, one in MISSIONS.items()))
    return 0


def _say(*lines: str) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
