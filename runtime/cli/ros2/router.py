"""`olympus ros2 router`: what `rmw_zenohd` is to a ROS graph, without ROS."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from olympus.runtime.bus.ros2.zenoh_session import open_router
from olympus.runtime.cli.connect import carry_out


def router(
    listen: Annotated[
        list[str] | None,
        typer.Option(help="Endpoint; may be repeated. This computer only: tcp/127.0.0.1:7447."),
    ] = None,
    connect: Annotated[
        list[str] | None, typer.Option(help="Router of another machine; may be repeated.")
    ] = None,
) -> None:
    """Run a Zenoh router for a ROS 2 graph, with rmw_zenohd's settings, until Ctrl-C."""
    endpoints = listen or ["tcp/0.0.0.0:7447"]

    async def work() -> None:
        with open_router(endpoints, connect or []):
            typer.echo(f"a router for ROS 2 listens at {', '.join(endpoints)}; Ctrl-C ends it")
            await asyncio.Event().wait()

    carry_out(work())
