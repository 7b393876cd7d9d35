"""`olympus record`: topics of a running session into one file that other tools open."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from olympus.runtime.bus import Bus, Entity, SubscriptionOptions
from olympus.runtime.bus.topics import check_topic, matches
from olympus.runtime.cli import exchange
from olympus.runtime.cli.connect import SessionName, bus_of, graph_of
from olympus.runtime.cli.vocabulary import learn
from olympus.runtime.config import Session, find_session
from olympus.runtime.errors import BusError, StoreError
from olympus.runtime.messages import Message
from olympus.runtime.qos import QoS
from olympus.runtime.store import Incoming, Run, StreamStore
from olympus.runtime.store.mcap import Form

_WRITE_S = 0.25
_QUEUE = QoS.queue(10_000)


class Format(StrEnum):
    """What kind of file is written."""

    MCAP = "mcap"


def record(
    target: Annotated[Path, typer.Argument(help="File to write, such as drive.mcap.")],
    topics: Annotated[
        list[str] | None, typer.Option(help="Only these; `*` and `**` may stand in it. Repeatable.")
    ] = None,
    duration: Annotated[float, typer.Option(min=0, help="Seconds; 0 = until Ctrl-C.")] = 0.0,
    format_: Annotated[Format, typer.Option("--format", help="Kind of file.")] = Format.MCAP,
    form: Annotated[
        Form, typer.Option("--as", help="How messages are written in it; see docs/store.md.")
    ] = Form.ROS2,
    session: SessionName = None,
) -> None:
    """Record topics of a running session into a file, until Ctrl-C.

    The file has ROS 2 schemas: `ros2 bag play` and viewers such as Foxglove take it. What is to
    outlive a power cut, or to be replayed, is for the recorder of the launch file.

    Raises:
        StoreError: The file can't be written there.
    """
    if not target.absolute().parent.is_dir():
        raise StoreError(f"{target}: there is no folder {target.absolute().parent}")
    if target.exists():
        raise StoreError(f"{target} is there already; name another file, or remove it")
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    prefix = f".{target.name}.{format_.value}-"
    with TemporaryDirectory(prefix=prefix, dir=target.absolute().parent) as place:
        folder = Path(place)
        with StreamStore(folder, is_durable=False) as store:
            try:
                asyncio.run(_listen(store, topics or ["**"], duration, session))
            except KeyboardInterrupt:
                typer.echo("", err=True)  # behind the ^C of a terminal
            if not store.topics():
                raise StoreError(
                    f"nothing came on {', '.join(topics or ['**'])}; no file is written"
                )
        count = exchange.export(
            folder, target, form=form, topics=[], since="", until="", compression="zstd", key=""
        )
    if not count:
        target.unlink()
        raise StoreError(f"nothing of what came could be said --as {form}; no file is written")


async def _listen(
    store: StreamStore, topics: Sequence[str], duration_s: float, session: str | None
) -> None:
    batch: list[Incoming] = []
    place = find_session(session)
    async with bus_of(place) as bus:
        learn_types = partial(_learn, topics, place, set())
        learn_types(await graph_of(bus))
        store.begin_run(Run(number=0, session="record", started=bus.clock.now_ns(), seen=0))
        for topic in topics:
            check_topic(topic.replace("*", "x"))
            options = SubscriptionOptions(qos=_QUEUE, keep_expired=True, takes_unknown=True)
            bus.subscribe(topic, Message, partial(_keep, batch, bus, topic), options)
        typer.echo(f"recording {', '.join(topics)}; Ctrl-C ends it", err=True)
        try:
            loop = asyncio.get_running_loop()
            until = loop.time() + (duration_s or math.inf)
            while (left_s := until - loop.time()) > 0:
                await asyncio.sleep(min(left_s, _WRITE_S))
                _write(store, batch, bus)
        finally:
            learn_types(bus.graph())  # of who came meanwhile
            _write(store, batch, bus)
            store.end_run(bus.clock.now_ns())


def _learn(patterns: Sequence[str], place: Session, told: set[str], graph: list[Entity]) -> None:
    """Import the modules that define the types of topics: without them the file can't say them."""
    ends = [one for one in graph if one.kind == "pub"]
    for kind in {one.type for one in ends if any(matches(p, one.topic) for p in patterns)} - told:
        told.add(kind)
        try:
            learn({kind}, graph, place)
        except BusError as error:
            typer.echo(f"only --as frames can write it: {error}", err=True)


def _keep(batch: list[Incoming], bus: Bus, pattern: str, message: Any) -> None:
    trace = message.header.trace
    topic = trace[-1].topic if trace else pattern
    batch.append(Incoming.of(topic, message, arrived=bus.clock.now_ns()))


def _write(store: StreamStore, batch: list[Incoming], bus: Bus) -> None:
    gaps = store.add(batch, now_ns=bus.clock.now_ns())
    batch.clear()
    for gap in gaps:
        typer.echo(f"{gap.topic}: {gap.missing} messages are missing: {gap.reason}", err=True)
