"""`olympus ros2 action`: list, info, send_goal."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

import typer

from olympus.runtime.bus.ros2.action_client import ActionClient
from olympus.runtime.bus.ros2.names import check_topic
from olympus.runtime.bus.ros2.plain import from_plain
from olympus.runtime.cli.connect import AsJson, carry_out
from olympus.runtime.cli.ros2.joined import (
    Timeout,
    chosen,
    ends_of,
    graph,
    own_node,
    present,
    say,
    table,
    type_of,
    written,
)

app = typer.Typer(help="ROS actions: list, info, send_goal.", no_args_is_help=True)
_SEND = "/_action/send_goal"


@app.command("list")
def list_(
    context: typer.Context,
    as_json: AsJson = False,
    timeout: Timeout = 3.0,
) -> None:
    """List the actions that are served in the graph."""
    how = chosen(context)

    async def work() -> None:
        async with graph(how) as one:
            found = await present(one, timeout)
        rows = sorted(
            (e.topic.removesuffix(_SEND), e.type.removesuffix("_SendGoal"), e.full_node)
            for e in found
            if e.kind == "SS" and e.topic.endswith(_SEND)
        )
        table(list(rows), ("action", "type", "node"), as_json=as_json)

    carry_out(work())


@app.command()
def info(
    context: typer.Context,
    action: Annotated[str, typer.Argument(help="Full name, such as /navigate_to_pose.")],
    as_json: AsJson = False,
    timeout: Timeout = 3.0,
) -> None:
    """Show who serves an action and who asks it, with its type."""
    how = chosen(context)

    async def work() -> None:
        name = check_topic(action)
        async with graph(how) as one:
            found = [
                replace(e, topic=e.topic.removesuffix(_SEND), type=e.type.removesuffix("_SendGoal"))
                for e in await present(one, timeout)
                if e.topic.endswith(_SEND)
            ]
        rows = ends_of(found, name, {"SS": "server", "SC": "client"})
        table([row[:3] for row in rows], ("end", "node", "type"), as_json=as_json)

    carry_out(work())


@app.command("send_goal")
def send_goal(
    context: typer.Context,
    action: Annotated[str, typer.Argument(help="Full name, such as /navigate_to_pose.")],
    value: Annotated[str, typer.Argument(help="Goal as YAML.")] = "{}",
    type_: Annotated[
        str | None, typer.Option("--type", help="Its type; asked for in the graph if left out.")
    ] = None,
    feedback: Annotated[bool, typer.Option("--feedback", help="Print feedback too.")] = False,
    as_json: AsJson = False,
    timeout: Timeout = 5.0,
) -> None:
    """Send a goal, wait for its result, and print it; Ctrl-C calls the goal off."""
    how = chosen(context)

    async def work() -> None:
        name = check_topic(action)
        async with graph(how) as one:
            kind = type_ or await type_of(one, name + _SEND, ("SS",), timeout)
            client = ActionClient(one, one.node(own_node()), name, kind.removesuffix("_SendGoal"))
            goal = from_plain(one.codecs, f"{kind.removesuffix('_SendGoal')}_Goal", written(value))
            handle = await client.send(
                goal,
                on_feedback=(lambda one_: say(one_, as_json=as_json)) if feedback else None,
                timeout_s=timeout,
            )
            try:
                status, result = await handle.result()
            except asyncio.CancelledError:
                await handle.cancel()
                raise
        typer.echo(f"{status.name.lower()}", err=as_json)
        say(result, as_json=as_json)

    carry_out(work())
