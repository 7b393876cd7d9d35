"""`olympus ros2 interface`: list, show."""

from __future__ import annotations

from typing import Annotated

import typer

from olympus.runtime.bus.ros2.catalogue import catalogue_of
from olympus.runtime.bus.ros2.definitions import check_type_name
from olympus.runtime.bus.ros2.rihs import type_hash
from olympus.runtime.cli.ros2.joined import chosen

app = typer.Typer(help="ROS interface definitions: list, show.", no_args_is_help=True)


@app.command("list")
def list_(
    context: typer.Context,
) -> None:
    """List the messages, services and actions that are known here."""
    how = chosen(context)
    typer.echo("\n".join(catalogue_of(how.distro, how.interfaces).names()))


@app.command()
def show(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Type, such as sensor_msgs/msg/Image.")],
) -> None:
    """Show a definition and its type hash."""
    how = chosen(context)
    catalogue = catalogue_of(how.distro, how.interfaces)
    full = check_type_name(name)
    suffixes: tuple[str, ...] = ("_Request", "_Response") if catalogue.is_service(full) else ("",)
    if catalogue.is_action(full):
        suffixes = ("_Goal", "_Result", "_Feedback")
    typer.echo("\n---\n".join(catalogue.get(full + suffix).text for suffix in suffixes))
    if not catalogue.is_action(full):
        typer.echo(f"# {type_hash(catalogue, full)}")
