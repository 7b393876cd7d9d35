"""`olympus node`: which nodes there are, and what one of them takes, gives and answers."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from olympus.runtime.bus import Entity
from olympus.runtime.cli.connect import AsJson, SessionName, carry_out, graph_of, joined
from olympus.runtime.cli.stats import stats_of
from olympus.runtime.errors import BusError, did_you_mean
from olympus.runtime.messages import HostStats

app = typer.Typer(help="Look at nodes: list, info.", no_args_is_help=True)


@app.command("list")
def list_(as_json: AsJson = False, session: SessionName = None) -> None:
    """List nodes with their state, host and class."""

    async def work() -> None:
        async with joined(session) as bus:
            graph, stats = await graph_of(bus), await stats_of(bus)
        nodes = [entity for entity in graph if entity.kind == "node"]
        states = _states(stats)
        rows = [
            {
                "node": one.node,
                "state": states.get(one.node, "unknown"),
                "host": one.host,
                "uses": one.type,
            }
            for one in nodes
        ]
        if as_json:
            typer.echo(json.dumps(rows))
            return
        width = max((len(one.node) for one in nodes), default=4)
        headings = {"node": "node", "state": "state", "host": "host", "uses": "class"}
        for row in [headings, *rows]:
            typer.echo("{node:{w}}  {state:12}  {host:12}  {uses}".format(w=width, **row))

    carry_out(work())


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="Full name, such as rover/detector.")],
    as_json: AsJson = False,
    session: SessionName = None,
) -> None:
    """Show what a node publishes, takes and answers."""

    async def work() -> None:
        async with joined(session) as bus:
            graph, stats = await graph_of(bus), await stats_of(bus)
        found = describe(name, graph, stats)
        if as_json:
            typer.echo(json.dumps(found))
            return
        for field, value in found.items():
            if isinstance(value, str):
                typer.echo(f"{field}: {value}")
                continue
            typer.echo(f"{field}:{'' if value else ' nothing'}")
            for topic, kind in value.items():
                typer.echo(f"  {topic}  {kind}")

    carry_out(work())


def describe(
    name: str, graph: list[Entity], stats: list[HostStats]
) -> dict[str, str | dict[str, str]]:
    """Gather what is known about a node.

    Args:
        name: Its full name.
        graph: Entities of the session.
        stats: Newest statistics of each host.

    Returns:
        `node`, `state`, `host`, `uses`, and `publishes`, `takes`, `answers` as name to type.

    Raises:
        BusError: There is no such node.
    """
    nodes = {entity.node: entity for entity in graph if entity.kind == "node"}
    if name not in nodes:
        raise BusError(f"no node {name!r} is running; {did_you_mean(name, nodes)}")

    def ends(kind: str) -> dict[str, str]:
        own = [entity for entity in graph if entity.node == name and entity.kind == kind]
        return {entity.topic: entity.type for entity in own}

    return {
        "node": name,
        "state": _states(stats).get(name, "unknown"),
        "host": nodes[name].host,
        "uses": nodes[name].type,
        "publishes": ends("pub"),
        "takes": ends("sub"),
        "answers": ends("srv"),
    }


def _states(stats: list[HostStats]) -> dict[str, str]:
    return {node.name: node.state for host in stats for node in host.nodes}
