"""Round trips and processor time of the ROS 2 backends, between two processes.

    ./run ros2 jazzy -k nothing    once, if rclpy is to be measured too: installs it from wheels
    ./run bench ros2
    ./run bench ros2 --rounds 5 --json > ros2.json

A round trip is a std_msgs/String of 64 bytes, or a sensor_msgs/Image of 1920x1080x3, to another
process and the same back, written and read as CDR four times. The ways take turns in each round:

    bare Zenoh     the same session and bytes, nothing read, written or counted: the floor
    zenoh backend  what a node of ours does
    bridge         from there on through the bridge to a node in a third process, and back
    plain rclpy    a node of rclpy with its own messages and executor, without a line of ours
    rclpy backend  ours, over rclpy
    dora's bridge  dora's own way into the same wire; String only, since a picture would go through
                   a list of Python numbers, and nothing to receive at 1 kHz, since it calls nobody
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import queue
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import zenoh
from _machine import described
from _ros2_trips import (
    COUNTS,
    HEIGHT,
    STRING_TRIPS,
    TEXT,
    WIDTH,
    Answers,
    Taken,
    receiving_us,
    stream_for_ever,
    timed,
)
from rich.console import Console
from rich.table import Table
from zenoh.handlers import Callback

from olympus.runtime.bus.ros2.how import Joining
from olympus.runtime.bus.ros2.joining import has_rclpy, join_graph
from olympus.runtime.bus.ros2.participant import Participant
from olympus.runtime.bus.ros2.zenoh_session import open_ros_session, open_router
from olympus.runtime.launch.testing import Launched

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LAUNCH = HERE / "_ros2.yaml"
PLAIN = HERE / "peers" / "rclpy_peer.py"
DORA_PEER = HERE / "peers" / "dora_ros2_peer.py"
STRING, IMAGE, EMPTY = "std_msgs/msg/String", "sensor_msgs/msg/Image", "std_msgs/msg/Empty"
BARE, OURS, BRIDGE, PLAIN_RCLPY, OVER_RCLPY, DORA = (
    "bare Zenoh", "zenoh backend", "bridge", "plain rclpy", "rclpy backend", "dora's bridge"
)  # fmt: skip
LOCAL = {"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
Rounds = Mapping[str, list[Taken]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="repetitions; 3")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--far", nargs=2, metavar=("WAY", "ROUTER"), help=argparse.SUPPRESS)
    parser.add_argument("--near", nargs=2, metavar=("WAY", "ROUTER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.far:
        asyncio.run(answer_for_ever(*options.far))
    elif options.near:
        asyncio.run(ask(*options.near))
    else:
        before = psutil.getloadavg()[0]
        rounds = measure(options.rounds, ros := ros_python())
        load = f"load {before:.1f} -> {psutil.getloadavg()[0]:.1f}"
        tell(rounds, load, options.json)
        if not options.json:
            tell_ratios(rounds)
            tell_versions(ros)


def ros_python() -> str:
    """Return the Python that has rclpy: this one, or what `./run ros2` installed; else nothing."""
    if has_rclpy():
        return sys.executable
    beside = sorted(ROOT.glob(".venv-ros-*/complete"))
    return str(beside[0].parent / "bin" / "python") if beside else ""


def has_dora(ros: str) -> bool:
    """Tell whether that Python has dora's bridge."""
    command = [ros, "-c", "import dora, pyarrow"]
    return (
        bool(ros)
        and subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0
    )


def measure(rounds: int, ros: str) -> Rounds:
    """Measure each way once in each round."""
    taken: dict[str, list[Taken]] = {way: [] for way in (BARE, OURS, BRIDGE)}
    taken |= {way: [] for way in (PLAIN_RCLPY, OVER_RCLPY) if ros}
    taken |= {DORA: []} if has_dora(ros) else {}
    for _ in range(rounds):
        for way, found in taken.items():
            with free_router() as router:
                found.append(one_round(way, router, ros))
    return taken


def one_round(way: str, router: str, ros: str) -> Taken:
    """Measure one way between new processes.

    Raises:
        SystemExit: It failed.
    """
    if way == BRIDGE:
        with tempfile.TemporaryDirectory(prefix="oly") as folder:
            words = [f"router:={router}"]
            with Launched(LAUNCH, *words, root=Path(folder), name="ros2") as robot:
                robot.until_active()
                return asked([sys.executable, __file__, "--near", way, router])
    if way == PLAIN_RCLPY:
        with running([ros, str(PLAIN), "far"]):
            return asked([ros, str(PLAIN), "near"])
    if way == DORA:
        with running([ros, str(DORA_PEER), "far", router]):
            return asked([ros, str(DORA_PEER), "near", router])
    python = ros if way == OVER_RCLPY else sys.executable
    with running([python, __file__, "--far", way, router]):
        return asked([python, __file__, "--near", way, router])


@contextmanager
def running(command: list[str]) -> Iterator[None]:
    """Run the other process until the block ends."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | LOCAL)
    try:
        if process.stdout is not None:
            process.stdout.readline()
        yield
    finally:
        process.kill()
        process.communicate()


def asked(command: list[str]) -> Taken:
    """Run the process that is measured, and return what it found.

    Raises:
        SystemExit: It failed.
    """
    told = subprocess.run(command, stdout=subprocess.PIPE, env=os.environ | LOCAL, check=False)
    if told.returncode:
        raise SystemExit(f"{' '.join(command)} failed")
    return Taken.of(told.stdout.decode())


def join(way: str, router: str) -> Participant:
    """Join the graph of a router."""
    backend = "rclpy" if way == OVER_RCLPY else "zenoh"
    how = {"router": [router], "backend": backend, "listen": ["tcp/127.0.0.1:0"], "domain": 85}
    return join_graph(Joining.model_validate(how | ({"domain": 0} if way == BRIDGE else {})))


async def ask(way: str, router: str) -> None:
    """Be the process that is measured."""
    if way == BARE:
        bare_near(router).tell()
        return
    one = join(way, router)
    node, taken = one.node("asker"), Taken()
    for size in [STRING_TRIPS] if way == BRIDGE else list(COUNTS):
        answers: Answers = queue.SimpleQueue()
        kind, topic = (STRING, "p") if size == STRING_TRIPS else (IMAGE, "image_p")
        node.subscribe(f"/{topic}ong", kind, lambda value, _, put=answers.put: put(value))  # type: ignore[misc]
        publisher = node.publisher(f"/{topic}ing", kind)
        taken.trips[size] = timed(
            partial(publisher.publish, _value(one, kind)), answers, COUNTS[size]
        )
    if way != BRIDGE:
        came: list[None] = []
        node.subscribe("/stream", STRING, lambda _value, _arrival: came.append(None))
        start = node.publisher("/start", EMPTY)
        while not start.is_wanted:
            time.sleep(0.02)
        begin = partial(start.publish, one.new(EMPTY))
        taken.receiving_us = receiving_us(begin, lambda: len(came))
    taken.tell()
    await one.close()


def _value(one: Participant, kind: str) -> Any:
    if kind == STRING:
        return one.new(STRING, data=TEXT)
    pixels = np.zeros(WIDTH * HEIGHT * 3, np.uint8)
    return one.new(IMAGE, height=HEIGHT, width=WIDTH, encoding="rgb8", step=WIDTH * 3, data=pixels)


async def answer_for_ever(way: str, router: str) -> None:
    """Be the other process: answer each message with itself, send a stream when asked to."""
    if way == BARE:
        bare_far(router)
        return
    one = join(way, router)
    node, asked_for = one.node("echo"), threading.Event()
    pong, image_pong = node.publisher("/pong", STRING), node.publisher("/image_pong", IMAGE)
    stream = node.publisher("/stream", STRING)
    node.subscribe("/ping", STRING, lambda value, _: pong.publish(value))
    node.subscribe("/image_ping", IMAGE, lambda value, _: image_pong.publish(value))
    node.subscribe("/start", EMPTY, lambda _value, _arrival: asked_for.set())
    stream_for_ever(asked_for, partial(stream.publish, one.new(STRING, data=TEXT)))


def bare_near(router: str) -> Taken:
    """Measure one round of Zenoh without us."""
    session = open_ros_session("peer", connect=[router], listen=["tcp/127.0.0.1:0"])
    answers: Answers = queue.SimpleQueue()
    came: list[bytes] = []

    def take(sample: zenoh.Sample) -> None:
        answers.put(sample.payload.to_bytes())

    def count(sample: zenoh.Sample) -> None:
        came.append(sample.payload.to_bytes())

    session.declare_subscriber("bare/pong", Callback(take, indirect=False))
    session.declare_subscriber("bare/stream", Callback(count, indirect=False))
    ping, start = session.declare_publisher("bare/ping"), session.declare_publisher("bare/start")
    say = partial(ping.put, bytes(64), attachment=bytes(33))
    taken = Taken({STRING_TRIPS: timed(say, answers, COUNTS[STRING_TRIPS])})
    taken.receiving_us = receiving_us(partial(start.put, b""), lambda: len(came))
    session.close()  # type: ignore[no-untyped-call]
    return taken


def bare_far(router: str) -> None:
    """Answer as Zenoh without us."""
    session = open_ros_session("peer", connect=[router], listen=["tcp/127.0.0.1:0"])
    pong, stream = session.declare_publisher("bare/pong"), session.declare_publisher("bare/stream")
    asked_for = threading.Event()

    def answer(sample: zenoh.Sample) -> None:
        pong.put(sample.payload.to_bytes(), attachment=bytes(33))

    def start(_sample: zenoh.Sample) -> None:
        asked_for.set()

    session.declare_subscriber("bare/ping", Callback(answer, indirect=False))
    session.declare_subscriber("bare/start", Callback(start, indirect=False))
    stream_for_ever(asked_for, partial(stream.put, bytes(64), attachment=bytes(33)))


@contextmanager
def free_router() -> Iterator[str]:
    """Open a router with rmw_zenohd's settings on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"tcp/127.0.0.1:{probe.getsockname()[1]}"
    with open_router([endpoint]):
        yield endpoint


def tell(rounds: Rounds, load: str, is_json: bool) -> None:
    """Print what was measured."""
    machine = described(("eclipse-zenoh", "numpy", "xxhash"))
    if is_json:
        found = {way: [asdict(one) for one in taken] for way, taken in rounds.items()}
        sys.stdout.write(json.dumps({"machine": machine, "load": load, "rounds": found}) + "\n")
        return
    console = Console(width=110)
    console.print(machine, load)
    console.print(table(rounds))


def tell_ratios(rounds: Rounds) -> None:
    """Print what each way takes beside bare Zenoh in the same round: the floor of any machine."""
    for way, taken in rounds.items():
        pairs = list(zip(rounds[BARE], taken, strict=True))
        if way != BARE:
            trips = [(a.trips[STRING_TRIPS].p50_ms, b.trips[STRING_TRIPS].p50_ms) for a, b in pairs]
            _tell_ratio(way, "64 B round trip, p50, of bare Zenoh's", trips)
        us = [(a.receiving_us or 0.0, b.receiving_us) for a, b in pairs if b.receiving_us]
        if way != BARE and us:
            _tell_ratio(way, "receiving CPU of bare Zenoh's", us)
    if PLAIN_RCLPY in rounds:
        both = zip(rounds[OURS], rounds[PLAIN_RCLPY], strict=True)
        us = [(a.receiving_us or 0.0, b.receiving_us or 0.0) for a, b in both]
        _tell_ratio(PLAIN_RCLPY, "receiving CPU of the zenoh backend's", us)


def _tell_ratio(way: str, what: str, pairs: list[tuple[float, float]]) -> None:
    each = [theirs / floor for floor, theirs in pairs if floor]
    rounds = ", ".join(f"{one:.2f}" for one in each)
    sys.stdout.write(f"{way}: {median(each):.2f} times the {what} ({rounds})\n")


def tell_versions(ros: str) -> None:
    """Print what was measured against, and by name what was not, and why."""
    dora = "measured" if has_dora(ros) else "not here; `./run ros2 jazzy` installs it"
    sys.stdout.write(
        f"rclpy of {ros}\n" if ros else "rclpy: not here; `./run ros2 jazzy` does it\n"
    )
    sys.stdout.write(f"dora's bridge: {dora}\nzenoh {version('eclipse-zenoh')}\n")


def _receiving(taken: list[Taken]) -> list[float]:
    return [one.receiving_us for one in taken if one.receiving_us is not None]


def table(rounds: Rounds) -> Table:
    """Return the medians of the rounds for a person, the best round in brackets."""
    count = max(len(taken) for taken in rounds.values())
    heads = ["p50 ms", "p99 ms", "CPU ms", "lost", f"us to receive 1 of {1000} a second"]
    made = Table("way", "message", *heads, title=f"Medians of {count} rounds (best round)")
    for way, taken in rounds.items():
        for size in taken[0].trips:
            trips = [one.trips[size] for one in taken]
            cells = [
                _both([getattr(one, name) for one in trips])
                for name in ("p50_ms", "p99_ms", "cpu_ms")
            ]
            us = _receiving(taken) if size == STRING_TRIPS else []
            lost = str(sum(one.lost for one in trips))
            made.add_row(way, size, *cells, lost, _both(us, digits=0) if us else "")
    return made


def _both(values: list[float], *, digits: int = 3) -> str:
    return f"{median(values):.{digits}f} ({min(values):.{digits}f})"


if __name__ == "__main__":
    main()
