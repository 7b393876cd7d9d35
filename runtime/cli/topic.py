"""`olympus topic`: which topics there are, what they carry, how fast and how old."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated

import typer

from olympus.runtime.bus import Bus, Entity
from olympus.runtime.bus.topics import check_topic
from olympus.runtime.cli.connect import (
    AsJson,
    SessionName,
    bus_of,
    carry_out,
    graph_of,
    joined,
)
from olympus.runtime.cli.hearing import Ear, absent
from olympus.runtime.cli.history import nothing_of, past_of
from olympus.runtime.cli.measuring import Timeout, Topic, bw, delay, hz
from olympus.runtime.cli.plain import as_json as message_as_json
from olympus.runtime.cli.plain import as_text
from olympus.runtime.cli.vocabulary import learn
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.config import Session, find_session
from olympus.runtime.errors import BusError
from olympus.runtime.messages import Message, message_types, schema_by_name
from olympus.runtime.messages.history import HistoryQuery

app = typer.Typer(
    help="Look at topics: list, type, echo, history, hz, bw, delay.", no_args_is_help=True
)
Count = Annotated[
    int, typer.Option("-n", "--count", min=0, help="End after so many messages; 0 = never.")
]


@dataclass(frozen=True, slots=True)
class TopicEnds:
    """A topic and who is at its ends."""

    topic: str
    type: str
    publishers: tuple[str, ...]
    subscribers: tuple[str, ...]


def topics_in(graph: list[Entity]) -> list[TopicEnds]:
    """Gather the ends of topics from the entities of a session.

    Args:
        graph: As `Bus.graph` returns it.

    Returns:
        One for each topic, by name; its type is what publishers say, else what subscribers expect.
    """
    ends = [entity for entity in graph if entity.kind in ("pub", "sub")]
    return [_ends_of(topic, ends) for topic in sorted({entity.topic for entity in ends})]


def _ends_of(topic: str, ends: list[Entity]) -> TopicEnds:
    here = sorted((one for one in ends if one.topic == topic), key=lambda one: one.kind)
    names = {kind: tuple(one.node for one in here if one.kind == kind) for kind in ("pub", "sub")}
    return TopicEnds(topic, here[0].type, names["pub"], names["sub"])


@app.command("list")
def list_(
    as_json: AsJson = False,
    session: SessionName = None,
    everything: Annotated[bool, typer.Option("--all", help="Show internal topics too.")] = False,
) -> None:
    """List topics with their types and ends."""

    async def work() -> None:
        async with joined(session) as bus:
            found = topics_in(await graph_of(bus))
        shown = [one for one in found if everything or not one.topic.startswith("@")]
        if as_json:
            fields = ("topic", "type", "publishers", "subscribers")
            rows = [{name: getattr(one, name) for name in fields} for one in shown]
            typer.echo(json.dumps(rows))
            return
        width = max((len(one.topic) for one in shown), default=5)
        typer.echo(f"{'topic':{width}}  {'type':24}  from → to (nodes)")
        for one in shown:
            ends = f"{len(one.publishers)} → {len(one.subscribers)}"
            typer.echo(f"{one.topic:{width}}  {one.type:24}  {ends}")

    carry_out(work())


@app.command()
def echo(
    topic: Topic,
    count: Count = 0,
    as_json: AsJson = False,
    full: Annotated[bool, typer.Option(help="Write arrays out.")] = False,
    last: Annotated[
        int, typer.Option(min=0, help="First print the newest so many that were recorded.")
    ] = 0,
    timeout: Timeout = 30.0,
    session: SessionName = None,
) -> None:
    """Print the messages of a topic as they come; `*` and `**` may stand in its name."""
    shown = 0
    render = message_as_json if as_json else as_text
    past: set[tuple[str, int, int]] = set()

    def show(message: Message) -> bool:
        nonlocal shown
        if _identity(message) in past:  # it came once more, from the store
            return False
        typer.echo(render(message, full=full))
        shown += 1
        return shown == count

    async def tell_the_past(bus: Bus, graph: list[Entity], place: Session) -> None:
        if last:
            query = HistoryQuery(topic=topic, count=last)
            for _, message in (await past_of(bus, graph, place, query))[0][-last:]:
                if not count or shown < count:
                    show(message)
                past.add(_identity(message))

    async def work() -> None:
        await Ear(topic, show, timeout).hear(session, joined=tell_the_past)

    carry_out(work())


@app.command()
def history(
    topic: Topic,
    last: Annotated[int, typer.Option(min=1, max=8000, help="The newest so many.")] = 10,
    seconds: Annotated[
        float, typer.Option(min=0, help="Only those captured within the last so many seconds.")
    ] = 0.0,
    as_json: AsJson = False,
    full: Annotated[bool, typer.Option(help="Write arrays out.")] = False,
    session: SessionName = None,
) -> None:
    """Print what was recorded of a topic, oldest first; `*` and `**` may stand in its name."""
    check_topic(topic.replace("*", "x"))
    render = message_as_json if as_json else as_text

    async def work() -> None:
        place = find_session(session)
        async with bus_of(place) as bus:
            graph = await graph_of(bus)
            since = bus.clock.now_ns() - round(seconds * NS_PER_S) if seconds else 0
            query = HistoryQuery(topic=topic, count=last, since=since)
            found, is_cut = await past_of(bus, graph, place, query)
        if not found:
            raise BusError(nothing_of(topic, graph))
        for _, message in found[-last:]:
            typer.echo(render(message, full=full))
        if is_cut:
            typer.echo("there is more than one answer holds; the oldest are missing", err=True)

    carry_out(work())


def _identity(message: Message) -> tuple[str, int, int]:
    header = message.header
    return header.source, header.seq, header.stamp


@app.command("type")
def type_(
    name: Annotated[str, typer.Argument(help="A topic, or a message type: olympus/Reading.")],
    as_json: AsJson = False,
    session: SessionName = None,
) -> None:
    """Show the type of a topic: name, version, hash and layout, as docs/wire.md has them."""
    if name in message_types():
        _show_type(name, as_json=as_json)
        return

    async def work() -> None:
        place = find_session(session)
        async with bus_of(place) as bus:
            graph = await graph_of(bus)
        ends = [one for one in topics_in(graph) if one.topic == name]
        if not ends:
            raise BusError(absent(name, graph))
        learn({ends[0].type}, graph, place)
        _show_type(ends[0].type, as_json=as_json)

    carry_out(work())


def _show_type(name: str, *, as_json: bool) -> None:
    schema = schema_by_name(name)
    if as_json:
        told = {"type": name, "version": schema.version, "hash": schema.hash.hex()}
        typer.echo(json.dumps({**told, "layout": schema.kind.text}))
        return
    typer.echo(f"{name}  version {schema.version}  hash {schema.hash.hex()}\n{schema.kind.text}")


for _command in (hz, bw, delay):
    app.command()(_command)
