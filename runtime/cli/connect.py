"""How a command joins a running session, and the options all such commands share."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

import typer

from olympus.runtime.bus import Bus, Entity
from olympus.runtime.bus.joining import join
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session, find_session

T = TypeVar("T")
LOOK_S = 0.04
PATIENCE_S = 1.0
INTERRUPTED = 130

SessionName = Annotated[
    str | None, typer.Option("--session", help="Name of the session; needed if several run.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


@asynccontextmanager
async def joined(session_name: str | None) -> AsyncIterator[Bus]:
    """Join a running session's bus as an observer.

    Args:
        session_name: Which session; None for the only one.

    Yields:
        The bus.

    Raises:
        ConfigError: There is no such session.
        BusError: Its bus can't be reached.
    """
    async with bus_of(find_session(session_name)) as bus:
        yield bus


@asynccontextmanager
async def bus_of(session: Session) -> AsyncIterator[Bus]:
    """Join the bus of a session as an observer.

    Args:
        session: A running session.

    Yields:
        The bus.

    Raises:
        BusError: It can't be reached.
    """
    clock = SystemClock(session.clock_offset_ns)
    bus = join(session, clock, host=f"cli-{os.getpid()}")
    try:
        yield bus
    finally:
        await bus.close()


async def graph_of(bus: Bus) -> list[Entity]:
    """Return who is there, once that has stopped growing.

    Args:
        bus: A bus that was joined just now.
    """
    return await settled(bus.graph)


async def settled(look: Callable[[], list[T]]) -> list[T]:
    """Look again and again until something is there and two looks agree, at most for a second.

    Args:
        look: Returns what is there now.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE_S
    before: list[T] = []
    while loop.time() < deadline:
        await asyncio.sleep(LOOK_S)
        now = look()
        if now and len(now) == len(before):
            return now
        before = now
    return before


def carry_out(work: Coroutine[Any, Any, None]) -> None:
    """Run a command's work; Ctrl-C ends it quietly.

    Args:
        work: What the command does.

    Raises:
        typer.Exit: Ctrl-C was pressed.
    """
    try:
        asyncio.run(work)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
