"""`olympus ros2 service`: list, info, call."""

from __future__ import annotations

from typing import Annotated

import typer

from olympus.runtime.bus.ros2.names import check_topic
from olympus.runtime.bus.ros2.plain import from_plain
from olympus.runtime.cli.connect import AsJson, carry_out
from olympus.runtime.cli.ros2.joined import (
    Timeout,
    chosen,
    counted,
    ends_of,
    graph,
    own_node,
    present,
    say,
    table,
    type_of,
    written,
)

app = typer.Typer(help="ROS services: list, info, call.", no_args_is_help=True)


@app.command("list")
def list_(
    context: typer.Context,
    as_json: AsJson = False,
    timeout: Timeout = 3.0,
) -> None:
    """List the services of the graph with their types."""
    how = chosen(context)

    async def work() -> None:
        async with graph(how) as one:
            rows = counted(await present(one, timeout), ("SS", "SC"))
        table(rows, ("service", "type", "servers", "clients"), as_json=as_json)

    carry_out(work())


@app.command()
def info(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="Full name, such as /stop.")],
    as_json: AsJson = False,
    timeout: Timeout = 3.0,
) -> None:
    """Show who serves a service and who asks it, with type and type hash."""
    how = chosen(context)

    async def work() -> None:
        name = check_topic(service)
        async with graph(how) as one:
            found = await present(one, timeout)
        rows = ends_of(found, name, {"SS": "server", "SC": "client"})
        table(rows, ("end", "node", "type", "hash"), as_json=as_json)

    carry_out(work())


@app.command()
def call(
    context: typer.Context,
    service: Annotated[str, typer.Argument(help="Full name, such as /stop.")],
    value: Annotated[str, typer.Argument(help="Request as YAML: '{a: 1, b: 2}'.")] = "{}",
    type_: Annotated[
        str | None, typer.Option("--type", help="Its type; asked for in the graph if left out.")
    ] = None,
    as_json: AsJson = False,
    timeout: Timeout = 5.0,
) -> None:
    """Ask a service and print its response."""
    how = chosen(context)

    async def work() -> None:
        name = check_topic(service)
        async with graph(how) as one:
            kind = type_ or await type_of(one, name, ("SS",), timeout)
            client = one.node(own_node()).client(name, kind)
            request = from_plain(one.codecs, client.request.name, written(value))
            answer = await client.call(request, timeout_s=timeout)
        say(answer, as_json=as_json)

    carry_out(work())
