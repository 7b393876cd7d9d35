"""Round trips and processor time of the ROS 2 backends, between two processes.

    ./run bench ros2
    ./run bench ros2 --rounds 5 --json > ros2.json

A round trip is a std_msgs/String of 64 bytes, or a sensor_msgs/Image of 1920x1080x3, to another
process and the same back, written and read as CDR four times. `bridge` goes on from there: from ROS
through the bridge to a node in a third process, and back. `bare Zenoh` is the wire alone.
rclpy is measured where it is installed.
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
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
import zenoh
from _machine import described
from rich.console import Console
from rich.table import Table
from zenoh.handlers import Callback

from olympus.runtime.bus.ros2.how import Joining
from olympus.runtime.bus.ros2.joining import has_rclpy, join_graph
from olympus.runtime.bus.ros2.participant import Participant
from olympus.runtime.bus.ros2.zenoh_session import open_ros_session, open_router
from olympus.runtime.launch.testing import Launched
from olympus.runtime.telemetry.meters import quantile

STRING, IMAGE = "std_msgs/msg/String", "sensor_msgs/msg/Image"
TRIPS = {"64 B String": 2000, "1080p Image": 60}
STREAM_S, STREAM_HZ = 5.0, 1000
PATIENCE_S = 30.0
LOST_S = 2.0
LAUNCH = Path(__file__).with_name("_ros2.yaml")


@dataclass(frozen=True, slots=True)
class Measured:
    """One way of sending one size; each number is the median of the rounds."""

    p50_ms: float
    """Round trip."""
    p99_ms: float
    best_p50_ms: float
    """Of the best round: least disturbed by neighbours."""
    cpu_ms: float
    """Processor time of the asking process per round trip."""
    lost: int
    """Round trips without an answer within 2 s, in all rounds."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="repetitions; 3")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--echo", nargs=2, metavar=("ROUTER", "BACKEND"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.echo:
        asyncio.run(echo_for_ever(*options.echo))
    before = psutil.getloadavg()
    results, stream = asyncio.run(measure(options.rounds))
    report = {
        "machine": described(("eclipse-zenoh", "numpy", "xxhash")),
        "load": [before, psutil.getloadavg()],
        "round_trips": results,
        "receive_us_per_message_at_1_khz": stream,
        "rclpy": "measured" if has_rclpy() else "not installed: not measured",
    }
    if options.json:
        sys.stdout.write(json.dumps(report, default=asdict, indent=1) + "\n")
        return
    console = Console()
    console.print(report["machine"], f"load {before} -> {psutil.getloadavg()}")
    console.print(table(results, options.rounds))
    for way, us in stream.items():
        console.print(
            f"receiving a 64 B String {STREAM_HZ} times a second, {way}: {us:.0f} us each"
        )
    console.print(f"rclpy: {report['rclpy']}")


async def measure(rounds: int) -> tuple[dict[str, dict[str, Measured]], dict[str, float]]:
    """Measure each backend, then the bridge."""
    results: dict[str, dict[str, Measured]] = {}
    stream: dict[str, float] = {}
    with free_router() as router:
        for backend in ["zenoh", *(["rclpy"] if has_rclpy() else [])]:
            with echo_process(router, backend):
                one = join(router, backend)
                results[backend] = trips(one, rounds)
                stream[backend] = median([receive_us(one) for _ in range(rounds)])
                await one.close()
        with echo_process(router, "zenoh"):
            results["bare Zenoh"] = {"64 B String": bare_trips(router, rounds)}
        with tempfile.TemporaryDirectory(prefix="oly") as folder:
            words = [f"router:={router}"]
            with Launched(LAUNCH, *words, root=Path(folder), name="ros2") as robot:
                robot.until_active()
                one = join(router, "zenoh")
                results["bridge"] = trips(one, rounds, sizes=["64 B String"])
                await one.close()
    return results, stream


def join(router: str, backend: str) -> Participant:
    """Join the graph of a router."""
    how = {"router": [router], "backend": backend, "listen": ["tcp/127.0.0.1:0"]}
    return join_graph(Joining.model_validate(how))


def trips(one: Participant, rounds: int, *, sizes: list[str] | None = None) -> dict[str, Measured]:
    """Measure round trips of each size."""
    node = one.node("asker")
    found = {}
    for size in sizes or list(TRIPS):
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        kind, topic = (STRING, "p") if size.endswith("String") else (IMAGE, "image_p")
        end = node.subscribe(f"/{topic}ong", kind, partial(_keep, answers))
        publisher = node.publisher(f"/{topic}ing", kind)
        value = _value(one, kind)
        _warm_up(partial(publisher.publish, value), answers)
        found[size] = _rounds(partial(publisher.publish, value), answers, TRIPS[size], rounds)
        end.close()
        publisher.close()
    node.close()
    return found


def _keep(answers: queue.SimpleQueue[Any], value: Any, _arrival: Any) -> None:
    answers.put(value)


def _value(one: Participant, kind: str) -> Any:
    if kind == STRING:  # with its length, its zero and its header: 64 bytes
        return one.new(STRING, data="x" * 55)
    pixels = np.zeros(1920 * 1080 * 3, np.uint8)
    return one.new(IMAGE, height=1080, width=1920, encoding="rgb8", step=5760, data=pixels)


def bare_trips(router: str, rounds: int) -> Measured:
    """Measure Zenoh without us: the same session, the same bytes, nothing read or counted."""
    session = open_ros_session("peer", connect=[router], listen=["tcp/127.0.0.1:0"])
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def take(sample: zenoh.Sample) -> None:
        answers.put(sample.payload.to_bytes())

    session.declare_subscriber("bare/pong", Callback(take, indirect=False))
    publisher = session.declare_publisher("bare/ping")
    say = partial(publisher.put, bytes(64), attachment=bytes(33))
    _warm_up(say, answers)
    found = _rounds(say, answers, TRIPS["64 B String"], rounds)
    session.close()  # type: ignore[no-untyped-call]
    return found


def _warm_up(say: Callable[[], None], answers: queue.SimpleQueue[Any]) -> None:
    """Send until ten answers came: both ways are found by then."""
    for _ in range(10):
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            say()
            try:
                answers.get(timeout=0.5)
                break
            except queue.Empty:
                continue
        else:
            raise SystemExit("the other process does not answer")
    time.sleep(1.0)
    while not answers.empty():
        answers.get()


def _rounds(
    say: Callable[[], None], answers: queue.SimpleQueue[Any], count: int, rounds: int
) -> Measured:
    p50s, p99s, cpus, lost = [], [], [], 0
    for _ in range(rounds):
        times = []
        cpu = time.process_time()
        for _ in range(count):
            begun = time.perf_counter_ns()
            say()
            try:
                answers.get(timeout=LOST_S)
                times.append((time.perf_counter_ns() - begun) / 1e6)
            except queue.Empty:
                lost += 1
        cpus.append((time.process_time() - cpu) * 1e3 / count)
        times.sort()
        p50s.append(quantile(times, 0.5))
        p99s.append(quantile(times, 0.99))
    return Measured(median(p50s), median(p99s), min(p50s), median(cpus), lost)


def receive_us(one: Participant) -> float:
    """Return this process's processor time per message of a stream from the other process."""
    node, count = one.node("receiver"), 0

    def take(_value: Any, _arrival: Any) -> None:
        nonlocal count
        count += 1

    node.subscribe("/stream", STRING, take)
    start = node.publisher("/start", "std_msgs/msg/Empty")
    while not start.is_wanted:
        time.sleep(0.02)
    time.sleep(0.5)
    idle = time.process_time()
    time.sleep(1.0)
    idle_per_s = time.process_time() - idle
    start.publish(one.new("std_msgs/msg/Empty"))
    while not count:
        time.sleep(0.01)
    before, began, cpu = count, time.monotonic(), time.process_time()
    time.sleep(STREAM_S - 1.0)
    spent = time.process_time() - cpu - idle_per_s * (time.monotonic() - began)
    received = count - before
    time.sleep(1.5)
    node.close()
    return spent * 1e6 / max(1, received)


async def echo_for_ever(router: str, backend: str) -> None:
    """Answer each message with itself, and send a stream when asked to."""
    one = join(router, backend)
    node = one.node("echo")
    pong, image_pong = node.publisher("/pong", STRING), node.publisher("/image_pong", IMAGE)
    stream = node.publisher("/stream", STRING)
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    node.subscribe("/ping", STRING, lambda value, _: pong.publish(value))
    node.subscribe("/image_ping", IMAGE, lambda value, _: image_pong.publish(value))

    def start(_value: Any, _arrival: Any) -> None:
        loop.call_soon_threadsafe(asked.set)

    node.subscribe("/start", "std_msgs/msg/Empty", start)
    if backend == "zenoh":
        session = open_ros_session("peer", connect=[router], listen=["tcp/127.0.0.1:0"])
        back = session.declare_publisher("bare/pong")

        def answer(sample: zenoh.Sample) -> None:
            back.put(sample.payload.to_bytes(), attachment=bytes(33))

        session.declare_subscriber("bare/ping", Callback(answer, indirect=False))
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    text = one.new(STRING, data="x" * 55)
    while os.getppid() != 1:
        await asked.wait()
        asked.clear()
        due = time.monotonic()
        for _ in range(round(STREAM_S * STREAM_HZ)):
            stream.publish(text)
            due += 1 / STREAM_HZ
            await asyncio.sleep(max(0.0, due - time.monotonic()))


@contextmanager
def echo_process(router: str, backend: str) -> Iterator[None]:
    """Run the other process until the block ends."""
    command = [sys.executable, __file__, "--echo", router, backend]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        if process.stdout is not None:
            process.stdout.readline()
        yield
    finally:
        process.kill()
        process.communicate()


@contextmanager
def free_router() -> Iterator[str]:
    """Open a router with rmw_zenohd's settings on a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"tcp/127.0.0.1:{probe.getsockname()[1]}"
    with open_router([endpoint]):
        yield endpoint


def table(results: dict[str, dict[str, Measured]], rounds: int) -> Table:
    """Return the results for a person."""
    heads = ["p50 ms", "best p50", "p99 ms", "CPU ms", "lost"]
    made = Table("way", "message", *heads, title=f"Round trips; medians of {rounds} rounds")
    for way, sizes in results.items():
        for size, one in sizes.items():
            times = [one.p50_ms, one.best_p50_ms, one.p99_ms, one.cpu_ms]
            made.add_row(way, size, *(f"{t:.3f}" for t in times), str(one.lost))
    return made


if __name__ == "__main__":
    main()
