"""What a launch costs from the command until everything is active: processor time, per process.

    ./run bench launch
    ./run bench launch --rounds 8 --json

Three launches in turn: one host with a node that does nothing, two such hosts under a guardian, and
the patrol. What has ended by then, such as who looks at the nodes' classes, is told as *ended*.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median

from _machine import described

from olympus.runtime.launch.testing import Launched

PATROL = Path(__file__).parents[2] / "launch" / "patrol.yaml"
NODE = "from olympus.runtime.node import Node\n\n\nclass Idle(Node):\n    pass\n"
ONE = """
name: one
nodes: {first: {uses: idle_node, host: one}}
"""
TWO = """
name: two
safety: {watch: {two: 2.0}, lease_ms: 1000}
nodes:
  first: {uses: idle_node, host: one}
  second: {uses: idle_node, host: two, depends_on: [first]}
"""
TICKS = os.sysconf("SC_CLK_TCK")
_UTIME = 14 - 3
Found = dict[str, dict[str, list[float]]]


def cpu_s(pid: int, *, of_ended_children: bool = False) -> float:
    """Return the processor time of a process, or of its children that have ended; seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    first = _UTIME + 2 * of_ended_children
    return sum(int(field) for field in fields[first : first + 2]) / TICKS


def launch(name: str, found: Found) -> None:
    """Launch once."""
    with tempfile.TemporaryDirectory(prefix="oly") as folder:
        file, words = Path(folder) / "robot.yaml", ["viewer_port:=0"] if name == "patrol" else []
        (Path(folder) / "idle_node.py").write_text(NODE)
        file.write_text({"one host": ONE, "two hosts": TWO}.get(name, ""))
        begun = time.monotonic()
        with Launched(PATROL if name == "patrol" else file, *words, root=Path(folder)) as robot:
            robot.until_active()
            found[name]["until all is active, s"].append(time.monotonic() - begun)
            spent = {process: cpu_s(pid) for process, pid in robot.pids().items()}
            spent["ended"] = cpu_s(robot.pid, of_ended_children=True)
        for process, seconds in spent.items():
            found[name][f"CPU of {process}, s"].append(seconds)
        found[name]["CPU of all, s"].append(sum(spent.values()))


def main() -> int:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__, prog="./run bench launch")
    parser.add_argument("--rounds", type=int, default=4, help="launches of each kind")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: Found = defaultdict(lambda: defaultdict(list))
    loads = [os.getloadavg()[0]]
    for _ in range(options.rounds):
        for name in ("one host", "two hosts", "patrol"):
            launch(name, found)
    loads.append(os.getloadavg()[0])
    machine = described(("numpy", "pydantic"))
    if options.json:
        sys.stdout.write(json.dumps({"machine": machine, "load": loads, "found": found}) + "\n")
        return 0
    sys.stdout.write(f"{machine}; load average {loads[0]:.1f} to {loads[1]:.1f}\n")
    for name, told in found.items():
        sys.stdout.write(f"{name}, n = {options.rounds}\n")
        for what, values in told.items():
            line = f"{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
            sys.stdout.write(f"  {what}: {line}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
