"""`olympus ros2 node`: list, info."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from olympus.runtime.cli.connect import AsJson, carry_out
from olympus.runtime.cli.ros2.joined import (
    Timeout,
    chosen,
    graph,
    present,
)
from olympus.runtime.errors import BusError, did_you_mean

app = typer.Typer(help="ROS nodes: list, info.", no_args_is_help=True)
_ENDS = {"MP": "publishes", "MS": "subscribes", "SS": "serves", "SC": "asks"}


@app.command("list")
def list_(
    context: typer.Context,
    as_json: AsJson = False,
    timeout: Timeout = 3.0,
) -> None:
    """List the nodes of the graph."""
    how = chosen(context)

    async def work() -> None:
        async with graph(how) as one:
            names = sorted({e.full_node for e in await present(one, timeout)})
        typer.echo(json.dumps(names) if as_json else "\n".join(names))

    carry_out(work())


@app.command()
def info(
    context: typer.Context,
    node: Annotated[str, typer.Argument(help="Full name, such as /rover/camera.")],
    as_json: AsJson = False,
    timeout: Timeout = 3.0,
) -> None:
    """Show what a node publishes, subscribes, serves and asks."""
    how = chosen(context)

    async def work() -> None:
        async with graph(how) as one:
            found = await present(one, timeout)
        name = "/" + node.strip("/")
        mine = [e for e in found if e.full_node == name]
        if not mine:
            hint = did_you_mean(name, {e.full_node for e in found})
            raise BusError(f"no node {name} in the graph; {hint}")
        ends = {
            word: sorted({(e.topic, e.type) for e in mine if e.kind == kind})
            for kind, word in _ENDS.items()
        }
        if as_json:
            typer.echo(json.dumps(ends))
            return
        typer.echo(name)
        for word, pairs in ends.items():
            for topic, type_ in pairs:
                typer.echo(f"  {word:10}  {topic}  {type_}")

    carry_out(work())
