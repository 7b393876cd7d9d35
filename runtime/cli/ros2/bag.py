"""`olympus ros2 bag`: info, play."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from olympus.runtime.bus.ros2.bags import read_bag
from olympus.runtime.bus.ros2.participant import RosPublisher
from olympus.runtime.cli.connect import AsJson, carry_out
from olympus.runtime.cli.ros2.joined import chosen, graph, own_node

app = typer.Typer(help="ROS bags, sqlite and MCAP: info, play.", no_args_is_help=True)
Bag = Annotated[Path, typer.Argument(help="Folder of a bag, or a .db3 or .mcap file.")]


@app.command()
def info(bag: Bag, as_json: AsJson = False) -> None:
    """Show which topics a bag holds, of what types, and how many messages."""
    counts: Counter[tuple[str, str]] = Counter()
    first = last = 0
    for one in read_bag(bag):
        counts[one.topic, one.type] += 1
        first, last = first or one.stamp_ns, one.stamp_ns
    rows = [{"topic": t, "type": y, "count": n} for (t, y), n in sorted(counts.items())]
    seconds = (last - first) / 1e9
    if as_json:
        typer.echo(json.dumps({"duration_s": seconds, "topics": rows}))
        return
    typer.echo(f"{sum(counts.values())} messages in {seconds:.3f} s")
    for (topic, type_), count in sorted(counts.items()):
        typer.echo(f"{count:8}  {topic}  {type_}")


@app.command()
def play(
    context: typer.Context,
    bag: Bag,
    rate: Annotated[float, typer.Option("-r", "--rate", min=0.01, help="Times as fast.")] = 1.0,
    wait: Annotated[float, typer.Option(min=0, help="Seconds before the first message.")] = 1.0,
) -> None:
    """Publish the messages of a bag in the graph, as they were and in their time."""
    how = chosen(context)

    async def work() -> None:
        async with graph(how) as one:
            node, ends, sent = one.node(own_node()), dict[str, RosPublisher](), 0
            for topic, type_ in {(m.topic, m.type) for m in read_bag(bag)}:
                ends[topic] = node.publisher(topic, type_)
            await asyncio.sleep(wait)
            loop = asyncio.get_running_loop()
            began, first = loop.time(), 0
            for message in read_bag(bag):
                first = first or message.stamp_ns
                due = began + (message.stamp_ns - first) / 1e9 / rate
                await asyncio.sleep(max(0.0, due - loop.time()))
                ends[message.topic].publish_cdr(message.cdr)
                sent += 1
        typer.echo(f"played {sent} messages")

    carry_out(work())
