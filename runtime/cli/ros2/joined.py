"""How an `olympus ros2` command joins a graph, and the options that all of them share."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from pydantic import ValidationError

from olympus.runtime.bus.ros2.how import ROUTER, Joining
from olympus.runtime.bus.ros2.joining import join_graph
from olympus.runtime.bus.ros2.participant import Participant
from olympus.runtime.bus.ros2.plain import shown
from olympus.runtime.bus.ros2.wire import RosEntity
from olympus.runtime.errors import BusError, ConfigError, MessageError, did_you_mean

Timeout = Annotated[float, typer.Option(min=0.1, help="Give up after so many seconds.")]
_LOOK_S = 0.05
_SETTLED_S = 0.25


def choose(
    context: typer.Context,
    domain: Annotated[int, typer.Option(help="ROS_DOMAIN_ID of the graph.")] = 0,
    distro: Annotated[
        str, typer.Option(help="Of the others: humble, jazzy, kilted, lyrical, rolling.")
    ] = "jazzy",
    router: Annotated[str, typer.Option(help="Zenoh endpoint of the ROS router.")] = ROUTER,
    backend: Annotated[str, typer.Option(help="zenoh, rclpy or auto.")] = "auto",
    interfaces: Annotated[
        list[Path] | None, typer.Option(help="Folder of your own interfaces; may be repeated.")
    ] = None,
) -> None:
    """Look into a ROS 2 graph and speak in it, with or without ROS installed.

    Raises:
        ConfigError: An option can't be used.
    """
    given = {
        "domain": domain,
        "distro": distro,
        "router": [router],
        "backend": backend,
        "mode": "client",
        "interfaces": interfaces or [],
    }
    try:
        context.obj = Joining.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"--{first['loc'][0]} {first['input']!r}: {first['msg']}") from error


def chosen(context: typer.Context) -> Joining:
    """Return which graph the options before the command name."""
    found = context.find_object(Joining)
    return found if found is not None else Joining.model_validate({"mode": "client"})


@asynccontextmanager
async def graph(how: Joining) -> AsyncIterator[Participant]:
    """Join a ROS 2 graph for the time of a command.

    Raises:
        BusError: It can't be joined.
    """
    participant = join_graph(how)
    try:
        yield participant
    finally:
        await participant.close()


async def present(one: Participant, timeout_s: float) -> list[RosEntity]:
    """Return who is in the graph, once that has stopped growing.

    Raises:
        BusError: Nobody is there within `timeout_s`.
    """
    loop = asyncio.get_running_loop()
    began, grown_at, before = loop.time(), loop.time(), 0
    while True:
        await asyncio.sleep(_LOOK_S)
        found = [e for e in one.backend.entities() if not is_hidden_node(e)]
        if len(found) != before:
            before, grown_at = len(found), loop.time()
        if found and loop.time() - grown_at > _SETTLED_S:
            return found
        if loop.time() - began > timeout_s:
            raise BusError(
                f"nobody is in the graph (waited {timeout_s:g} s); is the router running "
                "there, and the domain right? `olympus ros2 router` opens one"
            )


def own_node() -> str:
    """Return the name of this command's own node, hidden as ROS hides it."""
    return f"_olympus_cli_{os.getpid()}"


def is_hidden_node(entity: RosEntity) -> bool:
    """Tell whether it belongs to a command-line tool."""
    return entity.node.startswith("_")


async def type_of(one: Participant, topic: str, kinds: tuple[str, ...], timeout_s: float) -> str:
    """Return the type of a topic or service as those in the graph say.

    Raises:
        BusError: Nobody there has such a topic.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while loop.time() < deadline:
        for entity in one.backend.entities():
            if entity.topic == topic and entity.kind in kinds:
                return entity.type
        await asyncio.sleep(_LOOK_S)
    raise BusError(f"nobody in the graph has {topic} (waited {timeout_s:g} s); name its type too")


def written(text: str) -> dict[str, Any]:
    """Return values that were typed as YAML, such as `{data: hello}`.

    Raises:
        MessageError: It is no mapping.
    """
    try:
        value = yaml.safe_load(text) if text.strip() else {}
    except yaml.YAMLError as error:
        raise MessageError(f"{text!r:.60} is no YAML: {error}") from error
    if not isinstance(value, dict):
        raise MessageError(f"{text!r:.60}: a mapping is needed, such as '{{data: hello}}'")
    return value


def say(value: Any, *, as_json: bool, full: bool = False) -> None:
    """Print a ROS value as YAML with a line of dashes behind it, or as one line of JSON."""
    plain = shown(value, longest=0 if full else 32)
    if as_json:
        typer.echo(json.dumps(plain))
    else:
        typer.echo(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True) + "---")


def table(rows: Sequence[tuple[str, ...]], heads: tuple[str, ...], *, as_json: bool) -> None:
    """Print rows in columns, or as JSON objects."""
    if as_json:
        typer.echo(json.dumps([dict(zip(heads, row, strict=True)) for row in rows]))
        return
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    for row in [heads, *rows]:
        typer.echo("  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)).rstrip())


def ends_of(
    entities: list[RosEntity], topic: str, words: dict[str, str]
) -> list[tuple[str, str, str, str]]:
    """Return who has a topic or service: which end, node, type and type hash.

    Args:
        entities: Of the graph.
        topic: Full name.
        words: What an end of each kind is called.

    Raises:
        BusError: Nobody has it; names what is like it.
    """
    rows = [
        (words[e.kind], e.full_node, e.type, e.hash)
        for e in entities
        if e.topic == topic and e.kind in words
    ]
    if not rows:
        known = {e.topic for e in entities if e.kind in words}
        raise BusError(f"nobody in the graph has {topic}; {did_you_mean(topic, known)}")
    return sorted(rows)


def counted(entities: list[RosEntity], kinds: tuple[str, str]) -> list[tuple[str, str, str, str]]:
    """Return topics or services with their types and how many are at each end."""
    names = sorted({(e.topic, e.type) for e in entities if e.kind in kinds})

    def number(topic: str, type_: str, kind: str) -> str:
        return str(sum(e.topic == topic and e.type == type_ and e.kind == kind for e in entities))

    return [(t, y, number(t, y, kinds[0]), number(t, y, kinds[1])) for t, y in names]
