"""How long a person's stop takes to a neutral motor: at another terminal, and in a browser.

./run bench stop [-n 200] [--json]

Real processes on a real pseudo-terminal, timed by the fault campaign's observer. The terminal's
stop is timed from the call of the command, starting Python told apart; that of the browser from
before the mouse button goes down on the viewer's page in Chromium, where there is one.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from _machine import described

from olympus.sim.campaign.report import percentile
from olympus.sim.campaign.rig import Rig
from olympus.sim.campaign.soak import measure_stops, neutral_ms

GOALS_MS = {"olympus stop": 20.0, "viewer's button": 150.0}
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
_REST_S = 0.3
_SHOWN_MS = 5000


def main(arguments: Sequence[str]) -> int:
    """Stop many times each way and print a table; 3 where there is no browser."""
    parser = argparse.ArgumentParser(prog="./run bench stop", description=__doc__)
    parser.add_argument("-n", type=int, default=200, help="stops of each kind")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args(arguments)
    load = os.getloadavg()[0]
    if not options.json:
        sys.stdout.write(f"{described([])}; load average {load:.1f} at the start\n")
    facts = {}
    with Rig() as rig:
        for name, values in measured(rig, options.n):
            facts[name] = figures(values)
            if not options.json:
                sys.stdout.write(row(name, facts[name]))
                sys.stdout.flush()
    if options.json:
        sys.stdout.write(json.dumps(facts) + "\n")
    if not CHROMIUM:
        sys.stderr.write("no chromium here (apt install chromium): its button was not pressed\n")
        return 3
    return 0


def measured(rig: Rig, count: int) -> Iterator[tuple[str, list[float]]]:
    """Yield names and the ms of each stop, one way after the other."""
    pairs = measure_stops(rig, count)
    yield "olympus stop", [neutral for _, neutral in pairs]
    yield "before it: Python and imports", [starting for starting, _ in pairs]
    if CHROMIUM:
        yield "viewer's button", press_buttons(rig, count)


def figures(values: list[float]) -> dict[str, float]:
    """Return what a table shows."""
    shares = {"p50": 0.5, "p99": 0.99, "worst": 1.0}
    return {"n": len(values)} | {name: percentile(values, s) for name, s in shares.items()}


def row(name: str, facts: dict[str, float]) -> str:
    """Return a line of the table."""
    goal = f"goal: p99 up to {GOALS_MS[name]:g}" if name in GOALS_MS else ""
    told = "".join(f"{key} {facts[key]:7.1f}  " for key in ("p50", "p99", "worst"))
    return f"{name:32} n {facts['n']:4.0f}  {told}ms  {goal}\n"


def press_buttons(rig: Rig, count: int) -> list[float]:
    """Press the stop on the viewer's page with a mouse; return the ms to the neutral motor."""
    from playwright.sync_api import TimeoutError as TooLate
    from playwright.sync_api import sync_playwright

    found: list[float] = []
    seen = 0
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        while len(found) < count:
            rig.drive()
            if rig.starts != seen:  # a robot that was launched anew has another address
                page.goto(page_address(rig.robot.run_dir))
                seen = rig.starts
            try:
                page.wait_for_selector('[data-state="permitted"]', timeout=_SHOWN_MS)
            except TooLate:  # a false trip came in between
                continue
            box = page.locator("#stop").bounding_box()
            if box is None:
                raise SystemExit("the page shows no stop")
            page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            time.sleep(_REST_S)
            rig.observer.catch_up()
            if not rig.observer.is_driven:  # a late command made it pause: nothing to stop
                continue
            began_ns = time.monotonic_ns()
            page.mouse.down()
            found.append(neutral_ms(rig, began_ns, began_ns))
            page.mouse.up()
        browser.close()
    return found


def page_address(folder: Path) -> str:
    """Return the viewer's address, its key included."""
    return (folder / "viewer.url").read_text().strip()


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
