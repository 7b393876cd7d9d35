"""Faults of a whole computer, many times: `./run bench os_faults -n 20`; some 2.5 s each."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import rig
from olympus.hardware.rig.os_faults import FAULTS, Theatre, Trial
from olympus.runtime.errors import DeviceError


def main(arguments: Sequence[str]) -> int:
    """Inflict every fault `n` times and print a table; 3 where something is missing here."""
    parser = argparse.ArgumentParser(prog="./run bench os_faults", description=__doc__)
    parser.add_argument("-n", type=int, default=20, help="trials of each fault")
    parser.add_argument("--seed", type=int, default=1, help="chooses the moments")
    parser.add_argument("--only", choices=list(FAULTS), help="one fault only")
    parser.add_argument("--json", action="store_true", help="one JSON object a trial")
    options = parser.parse_args(arguments)
    image, micropython = rig.vm(), rig.micropython()
    if image is None or micropython is None:
        sys.stderr.write("no virtual machine or no MicroPython here; `./run rig` fetches both\n")
        return 3
    folder = Path(tempfile.mkdtemp(prefix="vm"))
    theatre = Theatre(image, rig.GUEST_MODULES, micropython, folder)
    try:
        for fault in [options.only] if options.only else FAULTS:
            trials = []
            for number in range(options.n):
                trial = theatre.trial(fault, random.Random(f"{options.seed} {fault} {number}"))
                trials.append(trial)
                if options.json:
                    sys.stdout.write(json.dumps(dataclasses.asdict(trial)) + "\n")
                    sys.stdout.flush()
            if not options.json:
                sys.stdout.write(row(fault, trials) + "\n")
                sys.stdout.flush()
    except DeviceError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    finally:
        theatre.close()
        shutil.rmtree(folder)
    sys.stdout.write(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {image.name}\n")
    return 0


def row(fault: str, trials: Sequence[Trial]) -> str:
    """Return one line of a table in Markdown: median and worst of each, in ms."""
    cells = []
    for name in ("motor_ms", "relay_ms", "watchdog_ms"):
        values = [getattr(trial, name) for trial in trials]
        cells.append(f"{statistics.median(values):.0f} / {max(values):.0f}")
    spurious = sum(trial.spurious for trial in trials)
    return f"| {FAULTS[fault]} | {len(trials)} | {' | '.join(cells)} | {spurious} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
