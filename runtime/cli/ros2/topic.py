"""`olympus ros2 topic`: list, info, echo, hz, pub."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Annotated, Any

import typer

from olympus.runtime.bus.ros2.names import check_topic
from olympus.runtime.bus.ros2.plain import from_plain
from olympus.runtime.bus.ros2.qos import profile
from olympus.runtime.cli.connect import AsJson, carry_out
from olympus.runtime.cli.ros2.joined import (
    Timeout,
    chosen,
    counted,
    graph,
    own_node,
    present,
    say,
    table,
    type_of,
    written,
)
from olympus.runtime.errors import BusError

app = typer.Typer(help="ROS topics: list, info, echo, hz, pub.", no_args_is_help=True)
Topic = Annotated[str, typer.Argument(help="Full name, such as /chatter.")]
Type = Annotated[str | None, typer.Argument(help="Its type; asked for in the graph if left out.")]
Qos = Annotated[str, typer.Option(help="default, sensor_data or latched.")]
Count = Annotated[int, typer.Option("-n", "--count", min=0, help="End after so many; 0 = never.")]


@app.command("list")
def list_(
    context: typer.Context,
    as_json: AsJson = False,
    timeout: Timeout = 3.0,
) -> None:
    """List the topics of the graph with their types and ends."""
    how = chosen(context)

    async def work() -> None:
        async with graph(how) as one:
            rows = counted(await present(one, timeout), ("MP", "MS"))
        table(rows, ("topic", "type", "publishers", "subscribers"), as_json=as_json)

    carry_out(work())


@app.command()
def info(
    context: typer.Context,
    topic: Topic,
    as_json: AsJson = False,
    timeout: Timeout = 3.0,
) -> None:
    """Show who publishes and subscribes a topic, with what quality of service."""
    how = chosen(context)

    async def work() -> None:
        name = check_topic(topic)
        async with graph(how) as one:
            found = [e for e in await present(one, timeout) if e.topic == name]
        ends = [e for e in found if e.kind in ("MP", "MS")]
        if not ends:
            raise BusError(f"nobody in the graph has {name}; see `olympus ros2 topic list`")
        rows = [
            (
                "publisher" if e.kind == "MP" else "subscriber",
                e.full_node,
                e.type,
                e.hash,
                e.qos.text if e.qos is not None else "",
            )
            for e in ends
        ]
        table(rows, ("end", "node", "type", "hash", "qos"), as_json=as_json)

    carry_out(work())


@app.command()
def echo(
    context: typer.Context,
    topic: Topic,
    type_: Type = None,
    count: Count = 0,
    as_json: AsJson = False,
    full: Annotated[bool, typer.Option(help="Write arrays out.")] = False,
    qos: Qos = "default",
    timeout: Timeout = 30.0,
) -> None:
    """Print the messages of a topic as they come."""
    printed = 0

    def show(value: Any) -> bool:
        nonlocal printed
        say(value, as_json=as_json, full=full)
        printed += 1
        return printed == count

    how = chosen(context)

    async def work() -> None:
        async with graph(how) as one:
            await _hear(one, topic, type_, qos, show, timeout)

    carry_out(work())


@app.command()
def hz(
    context: typer.Context,
    topic: Topic,
    type_: Type = None,
    count: Annotated[int, typer.Option("-n", "--count", min=0, help="End after lines.")] = 0,
    timeout: Timeout = 30.0,
) -> None:
    """Measure how often messages come, once a second."""
    times: list[float] = []
    lines = 0

    def note(_value: Any) -> bool:
        nonlocal lines
        times.append(time.monotonic())
        if times[-1] - times[0] < 1.0:
            return False
        gaps = [b - a for a, b in itertools.pairwise(times)]
        rate = len(gaps) / (times[-1] - times[0])
        typer.echo(f"{rate:.2f} Hz; gaps {min(gaps):.4f} to {max(gaps):.4f} s; n={len(times)}")
        del times[:-1]
        lines += 1
        return lines == count

    how = chosen(context)

    async def work() -> None:
        async with graph(how) as one:
            await _hear(one, topic, type_, "default", note, timeout)

    carry_out(work())


@app.command()
def pub(
    context: typer.Context,
    topic: Topic,
    type_: Annotated[str, typer.Argument(help="Its type, such as std_msgs/msg/String.")],
    value: Annotated[str, typer.Argument(help="Values as YAML: '{data: hello}'.")] = "{}",
    rate: Annotated[float, typer.Option("-r", "--rate", min=0.01, help="So many a second.")] = 1.0,
    count: Annotated[
        int, typer.Option("-n", "--count", min=0, help="End after so many; 0 = never.")
    ] = 0,
    qos: Qos = "default",
    timeout: Timeout = 5.0,
) -> None:
    """Publish values on a topic; waits for a subscriber first."""
    how = chosen(context)

    async def work() -> None:
        async with graph(how) as one:
            given = from_plain(one.codecs, type_, written(value))
            publisher = one.node(own_node()).publisher(topic, type_, profile(qos))
            await _wanted(publisher, topic, timeout)
            sent = 0
            while not count or sent < count:
                publisher.publish(given)
                sent += 1
                await asyncio.sleep(1.0 / rate if sent != count else 0.1)
        typer.echo(f"published {sent} on {check_topic(topic)}")

    carry_out(work())


async def _wanted(publisher: Any, topic: str, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while not publisher.is_wanted:
        if time.monotonic() > deadline:
            raise BusError(f"nobody subscribes {topic} with this type (waited {timeout_s:g} s)")
        await asyncio.sleep(0.02)


async def _hear(
    one: Any, topic: str, type_: str | None, qos: str, take: Any, timeout_s: float
) -> None:
    """Hand values to `take` in this loop until it returns True.

    Raises:
        BusError: Nothing came for `timeout_s`.
    """
    name = check_topic(topic)
    kind = type_ or await type_of(one, name, ("MP", "MS"), timeout_s)
    queue: asyncio.Queue[Any] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    one.node(own_node()).subscribe(
        name,
        kind,
        lambda value, _arrival: loop.call_soon_threadsafe(queue.put_nowait, value),
        profile(qos),
    )
    while True:
        try:
            value = await asyncio.wait_for(queue.get(), timeout_s)
        except TimeoutError:
            refused = one.tallies.refused[name]
            hint = f"; {refused} were refused" if refused else ""
            raise BusError(f"{name}: nothing came in {timeout_s:g} s{hint}") from None
        if take(value):
            return
