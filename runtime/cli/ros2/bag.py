"""`olympus ros2 bag`: info, play."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from olympus.runtime.bus.ros2.bags import read_bag
from olympus.runtime.bus.ros2.catalogue import catalogue_of
from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.bus.ros2.how import Joining
from olympus.runtime.bus.ros2.mapping import Mapper
from olympus.runtime.bus.ros2.participant import RosPublisher
from olympus.runtime.bus.ros2.playing import BagPlayer
from olympus.runtime.bus.ros2.travelling import BagTypes
from olympus.runtime.bus.topics import matches
from olympus.runtime.cli.connect import AsJson, SessionName, carry_out, joined
from olympus.runtime.cli.ros2.joined import chosen, graph, own_node
from olympus.runtime.errors import ConfigError, MessageError

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
    here: Annotated[
        bool, typer.Option("--here", help="To our own nodes, in our words, instead of the graph.")
    ] = False,
    prefix: Annotated[str, typer.Option(help="Comes before each topic, with --here.")] = "",
    topics: Annotated[
        list[str] | None, typer.Option(help="Only these, with --here. May be repeated.")
    ] = None,
    session: SessionName = None,
) -> None:
    """Publish the messages of a bag in the graph, as they were and in their time.

    With --here our own nodes hear them, each type as the mapping says, as old as they were then.
    """
    how = chosen(context)
    if here:
        carry_out(_play_here(how, bag, rate, wait, prefix, topics or [], session))
        return

    carry_out(_play(how, bag, rate, wait))


async def _play(how: Joining, bag: Path, rate: float, wait: float) -> None:
    refused: Counter[str] = Counter()
    async with graph(how) as one:
        node, ends, sent = one.node(own_node()), dict[str, RosPublisher](), 0
        types, why = BagTypes(Mapper(one.codecs)), dict[str, str]()
        for topic, type_, told in {(m.topic, m.type, m.told) for m in read_bag(bag)}:
            try:
                ends[topic] = node.publisher(topic, types.adopt(type_, told))
            except (ConfigError, MessageError) as error:
                why[topic] = f"{topic}: {error}"
        await asyncio.sleep(wait)
        loop = asyncio.get_running_loop()
        began, first = loop.time(), 0
        for message in read_bag(bag):
            first = first or message.stamp_ns
            if message.topic not in ends:
                refused[why[message.topic]] += 1
                continue
            due = began + (message.stamp_ns - first) / 1e9 / rate
            await asyncio.sleep(max(0.0, due - loop.time()))
            ends[message.topic].publish_cdr(message.cdr)
            sent += 1
    typer.echo(f"played {sent} messages")
    _tell_refused(refused)


def _tell_refused(refused: Counter[str]) -> None:
    for reason, count in refused.most_common():
        typer.echo(f"{count} not played: {reason}", err=True)


async def _play_here(
    how: Joining,
    bag: Path,
    rate: float,
    wait: float,
    prefix: str,
    topics: list[str],
    session: str | None,
) -> None:
    mapper = Mapper(Codecs(catalogue_of(how.distro, how.interfaces)))
    async with joined(session) as bus:
        player = BagPlayer(
            bus,
            bus.clock,
            mapper,
            rate=rate,
            prefix=prefix.strip("/"),
            is_wanted=lambda topic: not topics or any(matches(one, topic) for one in topics),
        )
        player.announce(bag)
        await asyncio.sleep(wait)
        done = await player.play(bag)
    late = f", at most {done.latest_s:.3f} s late" if done.messages else ""
    typer.echo(f"played {done.messages.total()} messages{late}")
    _tell_refused(done.refused)
