"""The lifecycle of a node that runs again, step by step as the original's went on."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

from olympus.runtime.bus import Publisher
from olympus.runtime.bus.handling import call_handler
from olympus.runtime.messages import Message
from olympus.runtime.node.journal import CLOSED, QUIET
from olympus.runtime.node.lifecycle import Transition
from olympus.runtime.node.node import Node


class Actor(Protocol):
    """A node that runs again, as its lifecycle sees it."""

    node: Node

    def publisher(self, topic: str, cls: type[Message], options: Any) -> Publisher[Any]:
        """Return a publisher for an output."""

    def awaits_step(self) -> None:
        """Take notice that a deactivation waits until the original's had come as far."""


class Changes:
    """Makes a node's transitions.

    A deactivation took its time in the original: handlers and tasks went on until they were ended,
    and could publish until the outputs were closed. Both moments are in the journal.
    """

    def __init__(self, actor: Actor) -> None:
        """Make the transitions of `actor`'s node."""
        self._actor = actor
        self._steps: dict[str, asyncio.Future[None]] = {}
        self._is_active = False

    async def make(self, transition: Transition) -> None:
        """Make a transition.

        Raises:
            Exception: What the node's hook raised.
        """
        node = self._actor.node
        match transition:
            case Transition.CONFIGURE:
                for attribute, mark in node.declared.outputs.items():
                    end = node.outputs[attribute]
                    end.bind(self._actor.publisher(end.topic, mark.cls, mark.options(node.name)))
                await call_handler(node.on_configure)
            case Transition.ACTIVATE:
                self._open(True)
                await call_handler(node.on_activate)
                self._is_active = True
            case Transition.DEACTIVATE:
                await self._deactivate()
            case Transition.CLEANUP:
                await call_handler(node.on_cleanup)
            case Transition.SHUTDOWN:
                if self._is_active:
                    await self._deactivate()
                await call_handler(node.on_cleanup)

    def reach(self, step: str) -> Coroutine[Any, Any, None] | None:
        """Let a deactivation come as far as `QUIET` or `CLOSED`.

        Returns:
            What is to be done where none goes on, since an activation had failed.
        """
        reached = self._steps.pop(step, None)
        if reached is not None:
            reached.set_result(None)
        elif step == QUIET:
            return self._actor.node.cancel_tasks()
        else:
            self._open(False)
        return None

    async def _deactivate(self) -> None:
        node, self._is_active = self._actor.node, False
        await self._until(QUIET)
        await node.cancel_tasks()
        try:
            await call_handler(node.on_deactivate)
        finally:
            await self._until(CLOSED)
            self._open(False)

    async def _until(self, step: str) -> None:
        reached = self._steps[step] = asyncio.get_running_loop().create_future()
        self._actor.awaits_step()
        await reached

    def _open(self, is_open: bool) -> None:
        for end in self._actor.node.outputs.values():
            end.is_open = is_open
