"""Calling what a node's author wrote, and knowing whose cancellation a cancellation is."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from olympus.runtime.errors import BusError


def is_ending() -> bool:
    """Tell whether somebody asked the current task to end, even if it looked away."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def call_handler(handler: Callable[..., Any], *arguments: object) -> Any:
    """Call a function or a coroutine function and return what comes of it.

    Raises:
        BusError: Something it waited for was cancelled. Let through, that would end the task of the
            caller as if somebody had asked for it: a subscription would fall silent.
        CancelledError: The task of the caller is asked to end.
    """
    try:
        result = handler(*arguments)
        return await result if inspect.isawaitable(result) else result
    except asyncio.CancelledError as error:
        if is_ending():
            raise
        failure = as_failure(error)
        raise failure from error


def as_failure(error: asyncio.CancelledError) -> BusError:
    """Return what a cancellation is that nobody meant for the handler's task."""
    made = BusError("what it waited for was cancelled; catch CancelledError there")
    made.__cause__ = error
    return made
