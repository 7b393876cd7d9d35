"""How long an urgent message takes to another machine while a camera floods the line.

Two robots' worth of processes on this computer: each a hub, a gateway and two hosts; the gateways
meet over TCP on the loopback interface. One host sends 1080p pictures, the other urgent messages
(CRITICAL: Zenoh's REAL_TIME), each to its like over there. Cases, in interleaved rounds:

    quiet      no pictures
    one link   pictures as they are, one TCP connection for everything
    multilink  the same, urgent messages on a connection of their own (docs/wire.md)
    jpeg       pictures as JPEG, at most `--jpeg-hz` of them, one connection (`bus: topics`)

    ./run bench wire --rounds 3 --count 500 --json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from _machine import described

from olympus.runtime.bus import Bus, PublisherOptions, SubscriptionOptions
from olympus.runtime.bus.afar import AfarRule
from olympus.runtime.bus.hub import open_hub
from olympus.runtime.bus.joining import join
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import find_session, new_session
from olympus.runtime.messages import Image, Message, Reading
from olympus.runtime.qos import QoS, Tier
from olympus.runtime.telemetry.meters import quantile

MULTILINK = {"transport/unicast/max_links": 2}
URGENT, REST = "prio=1-3", "prio=4-7"
CASES = ("quiet", "one link", "multilink", "jpeg")
READY_S = 60.0


def machine(spec: dict[str, Any]) -> None:
    """Be a robot's hub and gateway until standard input ends."""
    session = new_session(spec["name"])
    with open_hub(session, listen=spec["listen"], connect=spec["connect"], extra=spec["extra"]):
        session.save()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.read()


async def wanted(publisher: Any) -> None:
    """Wait until somebody on the other machine listens."""
    while publisher.remote is None or not publisher.remote.is_wanted:
        await asyncio.sleep(0.01)


async def send_pictures(bus: Bus, spec: dict[str, Any]) -> None:
    """Send pictures until we are ended; noise below an edge, so that a JPEG has some work."""
    noise = np.random.default_rng(1).integers(0, 64, (1080, 1920, 3), np.uint8)
    publisher = bus.publisher("pictures", Image, PublisherOptions(node="camera", tier=Tier.LOW))
    await wanted(publisher)
    while True:
        publisher.publish(Image(data=noise))
        await asyncio.sleep(1 / spec["fps"])


async def take_pictures(bus: Bus, _spec: dict[str, Any]) -> None:
    """Take pictures and say how many came, about once a second."""
    count = 0

    def on_image(_: Image) -> None:
        nonlocal count
        count += 1

    bus.subscribe("pictures", Image, on_image)
    while True:
        await asyncio.sleep(0.5)
        sys.stdout.write(f"{time.monotonic()} {count}\n")
        sys.stdout.flush()


async def send_words(bus: Bus, spec: dict[str, Any]) -> None:
    """Send urgent messages that hold the time of their sending."""
    options = PublisherOptions(node="stop", tier=Tier.CRITICAL, is_reliable=True)
    publisher = bus.publisher("words", Reading, options)
    await wanted(publisher)
    await asyncio.sleep(spec["warm_s"])
    for _ in range(spec["count"]):
        publisher.publish(Reading(name="t", value=float(time.monotonic_ns()), unit="ns"))
        await asyncio.sleep(1 / spec["hz"])
    sys.stdout.write("sent\n")
    sys.stdout.flush()
    await asyncio.sleep(READY_S)


async def take_words(bus: Bus, spec: dict[str, Any]) -> None:
    """Take urgent messages and print how old each was, ms."""
    ages: list[float] = []

    def on_word(word: Message) -> None:
        if isinstance(word, Reading):
            ages.append((time.monotonic_ns() - word.value) / 1e6)

    bus.subscribe("words", Message, on_word, SubscriptionOptions(qos=QoS.queue(10_000)))
    deadline = time.monotonic() + spec["limit_s"]
    while len(ages) < spec["count"] and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    sys.stdout.write(json.dumps(ages) + "\n")
    sys.stdout.flush()


ROLES = {
    "send_pictures": send_pictures,
    "take_pictures": take_pictures,
    "send_words": send_words,
    "take_words": take_words,
}


async def host(role: str, spec: dict[str, Any]) -> None:
    """Be one host of a session."""
    session = find_session(spec["session"])
    rules = {topic: AfarRule(**rule) for topic, rule in spec["afar"].items()}
    bus = join(session, SystemClock(session.clock_offset_ns), host=role, afar=rules)
    try:
        await ROLES[role](bus, spec)
    finally:
        await bus.close()


@contextmanager
def started(role: str, spec: dict[str, Any], root: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a part of this file as a process."""
    process = subprocess.Popen(
        [sys.executable, __file__, "--role", role, "--spec", json.dumps(spec)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_RUNTIME_DIR": str(root)},
    )
    try:
        yield process
    finally:
        if role == "machine" and process.stdin is not None:
            process.stdin.close()
        else:
            process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def free_port() -> int:
    """Return a TCP port that nobody uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def endpoints(case: str) -> list[str]:
    """Return where the one gateway listens and the other connects."""
    if case != "multilink":
        return [f"tcp/127.0.0.1:{free_port()}"]
    return [f"tcp/127.0.0.1:{free_port()}?{priorities}" for priorities in (URGENT, REST)]


def measure(case: str, wish: argparse.Namespace) -> dict[str, Any]:
    """Run one case once."""
    where = endpoints(case)
    extra = MULTILINK if case == "multilink" else {}
    rule = {"pictures": {"jpeg": 80, "max_hz": wish.jpeg_hz}} if case == "jpeg" else {}
    here: dict[str, Any] = {"session": "a", "afar": rule, "fps": wish.fps, "hz": wish.hz}
    here |= {"count": wish.count, "warm_s": wish.warm_s}
    there = here | {"session": "b", "limit_s": READY_S + wish.warm_s + 2 * wish.count / wish.hz}
    with tempfile.TemporaryDirectory(prefix="oly-") as folder, ExitStack() as stack:
        root = Path(folder)

        def run(role: str, spec: dict[str, Any]) -> subprocess.Popen[str]:
            return stack.enter_context(started(role, spec, root))

        robots = [
            {"name": "a", "listen": where, "connect": [], "extra": extra},
            {"name": "b", "listen": [], "connect": where, "extra": extra},
        ]
        for robot in robots:
            opened = run("machine", robot)
            if opened.stdout is None or opened.stdout.readline().strip() != "ready":
                raise SystemExit(f"{case}: a hub did not open")
        pictures = None
        if case != "quiet":
            pictures = run("take_pictures", there)
            run("send_pictures", here)
        words = run("take_words", there)
        run("send_words", here)
        if words.stdout is None:
            raise SystemExit(f"{case}: no output")
        ages = sorted(json.loads(words.stdout.readline() or "[]"))
        rate = 0.0
        if pictures is not None and pictures.stdout is not None:
            pictures.terminate()
            lines = [line.split() for line in pictures.stdout.read().splitlines()]
            seen = [(float(at), int(count)) for at, count in lines if int(count)]
            if len(seen) > 1:
                rate = (seen[-1][1] - seen[0][1]) / (seen[-1][0] - seen[0][0])
    return {"case": case, "ages": ages, "pictures_hz": rate, "lost": wish.count - len(ages)}


def summed(case: str, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """Sum up the rounds of a case: all messages together, and the p99 of each round."""
    mine = [one for one in rounds if one["case"] == case]
    ages = sorted(age for one in mine for age in one["ages"])
    return {
        "case": case,
        "n": len(ages),
        "lost": sum(one["lost"] for one in mine),
        "pictures_hz": round(sum(one["pictures_hz"] for one in mine) / len(mine), 1),
        "p50_ms": round(quantile(ages, 0.5), 2),
        "p99_ms": round(quantile(ages, 0.99), 2),
        "p99_of_rounds_ms": sorted(round(quantile(one["ages"], 0.99), 1) for one in mine),
        "worst_ms": round(ages[-1], 2) if ages else 0.0,
    }


def main() -> None:
    """Run all cases in turn and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--role", help=argparse.SUPPRESS)
    parser.add_argument("--spec", help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=500, help="urgent messages in a round")
    parser.add_argument("--hz", type=float, default=100.0, help="of the urgent messages")
    parser.add_argument("--fps", type=float, default=10.0, help="of the pictures")
    parser.add_argument("--jpeg-hz", type=float, default=5.0, help="most pictures of the case jpeg")
    parser.add_argument("--warm-s", type=float, default=1.5)
    parser.add_argument("--cases", nargs="*", choices=CASES, default=list(CASES))
    parser.add_argument("--json", action="store_true")
    wish = parser.parse_args()
    if wish.role == "machine":
        machine(json.loads(wish.spec))
        return
    if wish.role:
        asyncio.run(host(wish.role, json.loads(wish.spec)))
        return
    load = psutil.getloadavg()[0]
    rounds = [measure(case, wish) for _ in range(wish.rounds) for case in wish.cases]
    rows = [summed(case, rounds) for case in wish.cases]
    if wish.json:
        sys.stdout.write(json.dumps({"load": load, "rows": rows}) + "\n")
        return
    sys.stdout.write(f"{described(['eclipse-zenoh', 'numpy'])}; load average {load:.1f}\n\n")
    heads = ("case", "n", "lost", "pictures/s", "p50 ms", "p99 ms", "p99 of each round", "worst ms")
    sys.stdout.write("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|\n")
    for row in rows:
        sys.stdout.write(
            "| " + " | ".join(str(value).strip("[]") for value in row.values()) + " |\n"
        )


if __name__ == "__main__":
    main()
