"""`olympus topic`: which topics there are, what they carry, how fast and how old."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import typer

from olympus.runtime.bus import Bus, Entity, SubscriptionOptions
from olympus.runtime.bus.topics import check_topic, matches
from olympus.runtime.cli.connect import (
    AsJson,
    SessionName,
    bus_of,
    carry_out,
    graph_of,
    joined,
)
from olympus.runtime.cli.pace import Pace
from olympus.runtime.cli.plain import as_json as message_as_json
from olympus.runtime.cli.plain import as_text
from olympus.runtime.cli.vocabulary import learn
from olympus.runtime.config import find_session
from olympus.runtime.errors import BusError, did_you_mean
from olympus.runtime.messages import Message, message_types, schema_by_name
from olympus.runtime.qos import QoS

app = typer.Typer(help="Look at topics: list, type, echo, hz, bw, delay.", no_args_is_help=True)
QUEUE = QoS.queue(1000)
Topic = Annotated[str, typer.Argument(help="Full name, such as rover/cmd_vel.")]
Count = Annotated[
    int, typer.Option("-n", "--count", min=0, help="End after so many messages; 0 = never.")
]
Lines = Annotated[
    int, typer.Option("-n", "--count", min=0, help="End after so many lines; 0 = never.")
]
Timeout = Annotated[float, typer.Option(min=0.1, help="Give up after so many seconds of silence.")]


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
    timeout: Timeout = 30.0,
    session: SessionName = None,
) -> None:
    """Print the messages of a topic as they come; `*` and `**` may stand in its name."""
    shown = 0
    render = message_as_json if as_json else as_text

    def show(message: Message) -> bool:
        nonlocal shown
        typer.echo(render(message, full=full))
        shown += 1
        return shown == count

    carry_out(_hear(topic, session, show, timeout_s=timeout))


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
            raise BusError(_absent(name, graph))
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


@app.command()
def hz(
    topic: Topic,
    count: Lines = 0,
    as_json: AsJson = False,
    timeout: Timeout = 30.0,
    session: SessionName = None,
) -> None:
    """Measure how often messages come, once a second."""
    _measure(topic, session, count, timeout, lambda pace: pace.rate(as_json=as_json))


@app.command()
def bw(
    topic: Topic,
    count: Lines = 0,
    as_json: AsJson = False,
    timeout: Timeout = 30.0,
    session: SessionName = None,
) -> None:
    """Measure how many bytes a second a topic carries, once a second."""
    _measure(topic, session, count, timeout, lambda pace: pace.bandwidth(as_json=as_json))


@app.command()
def delay(
    topic: Topic,
    count: Lines = 0,
    as_json: AsJson = False,
    timeout: Timeout = 30.0,
    session: SessionName = None,
) -> None:
    """Measure how old messages are when they arrive, from capture on, once a second."""
    _measure(topic, session, count, timeout, lambda pace: pace.delay(as_json=as_json))


def _measure(
    topic: str, session: str | None, count: int, timeout_s: float, tell: Callable[[Pace], str]
) -> None:
    pace, told = Pace(), 0

    def note(message: Message) -> bool:
        nonlocal told
        if pace.note(message):
            typer.echo(tell(pace))
            pace.restart()
            told += 1
        return 0 < count == told

    carry_out(_hear(topic, session, note, timeout_s=timeout_s, pace=pace))


async def _hear(
    topic: str,
    session: str | None,
    take: Callable[[Message], bool],
    *,
    timeout_s: float,
    pace: Pace | None = None,
) -> None:
    """Hand messages to `take` until it returns True; complain if a topic stays silent.

    Raises:
        BusError: Nothing came for `timeout_s`.
    """
    check_topic(topic.replace("*", "x"))
    enough, loop = asyncio.Event(), asyncio.get_running_loop()
    last = loop.time()

    def on_message(message: Message) -> None:
        nonlocal last
        last = loop.time()
        if not enough.is_set() and take(message):
            enough.set()

    place = find_session(session)
    async with bus_of(place) as bus:
        if pace is not None:
            pace.use(bus.clock)
        graph = await graph_of(bus)
        ends = [one for one in graph if one.kind == "pub" and matches(topic, one.topic)]
        if not ends:
            typer.echo(f"{_absent(topic, graph)}; waiting {timeout_s:g} s for it", err=True)
        learn({one.type for one in ends}, graph, place)
        last = loop.time()
        options = SubscriptionOptions(qos=QUEUE, keep_expired=True)
        bus.subscribe(topic, Message, on_message, options)
        while not enough.is_set():
            left_s = last + timeout_s - loop.time()
            if left_s <= 0:
                raise BusError(await _silence(bus, topic, timeout_s))
            await _wait(enough, left_s)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return


async def _silence(bus: Bus, topic: str, timeout_s: float) -> str:
    graph = await graph_of(bus)
    if any(one.kind == "pub" and matches(topic, one.topic) for one in graph):
        return f"{topic}: nothing came in {timeout_s:g} s; its publishers are silent"
    return _absent(topic, graph)


def _absent(topic: str, graph: list[Entity]) -> str:
    sent = {one.topic for one in graph if one.kind == "pub" and not one.topic.startswith("@")}
    return f"{topic}: nobody publishes it; {did_you_mean(topic, sent)}"
