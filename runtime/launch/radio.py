"""The launcher's own place on the bus: sets params of running nodes, sends the mission."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from pydantic import JsonValue

from olympus.runtime.bus import Bus, Entity, PublisherOptions
from olympus.runtime.bus.joining import join
from olympus.runtime.bus.topics import type_name
from olympus.runtime.clock import SystemClock
from olympus.runtime.config import Session
from olympus.runtime.errors import BusError, ParamError
from olympus.runtime.launch.plan import PlannedNode, joined
from olympus.runtime.messages import Ack, Command, ParamChange
from olympus.runtime.qos import Tier

if TYPE_CHECKING:
    from olympus.runtime.launch.metrics import MetricsServer

_TIMEOUT_S = 3.0
_ALIKE = 5
"""So many looks, 20 ms apart, must agree before the graph counts as known."""


def as_spoken(sentence: str) -> Command:
    """Return a sentence as a command; the node that takes it understands it."""
    return Command(text=sentence, verb="")


class Radio:
    """Connects to the session's hub when it is first needed."""

    def __init__(self, session: Session) -> None:
        """Connect to nothing yet."""
        self._session = session
        self._open: Bus | None = None

    async def set_params(self, node: PlannedNode, params: dict[str, JsonValue]) -> None:
        """Set params of a running node, all or none.

        Raises:
            ParamError: The node refused.
            BusError: The node does not answer.
        """
        service = joined(node.namespace, node.name, "param/set")
        change = ParamChange(values={name: json.dumps(value) for name, value in params.items()})
        answer = await self._bus().call(service, change, timeout_s=change.PATIENCE_S)
        if not isinstance(answer, Ack) or not answer.ok:
            text = answer.text if isinstance(answer, Ack) else f"it answered {answer}"
            raise ParamError(text)

    async def command(self, command: Command) -> None:
        """Send a command to the node that takes commands.

        Raises:
            BusError: Nobody listens to commands, or several do.
        """
        options = PublisherOptions(node="launcher", tier=Tier.HIGH, is_reliable=True)
        publisher = self._bus().publisher(await self._command_topic(), Command, options)
        try:
            await _until(lambda: publisher.is_wanted)
            publisher.publish(command)
        finally:
            self._bus().withdraw(publisher)

    async def _command_topic(self) -> str:
        ends = await self._ends_of_commands()
        obeying = {one.node for one in ends if one.kind == "srv"}
        heard = [one for one in ends if one.kind == "sub"]
        if not heard:
            raise BusError("nobody takes commands; does the launch file have a navigator?")
        obeyed = [one for one in heard if one.node in obeying]  # others only take note of them
        found = sorted({one.topic for one in obeyed or heard})
        if len(found) > 1:
            raise BusError(f"several robots take commands ({', '.join(found)}); use olympus say")
        return found[0]

    async def _ends_of_commands(self) -> list[Entity]:
        """Return who takes commands by topic or by call, once that has stopped growing."""
        wanted, seen = type_name(Command), list[int]()

        def ends() -> list[Entity]:
            return [one for one in self._bus().graph() if one.type == wanted]

        def is_settled() -> bool:
            seen.append(len(ends()))
            return seen[-1] > 0 and seen[-_ALIKE:] == [seen[-1]] * _ALIKE

        await _until(is_settled)
        return ends()

    def follow(self, metrics: MetricsServer) -> None:
        """Let the metrics endpoint hear every host's statistics."""
        metrics.follow(self._bus())

    async def close(self) -> None:
        """Leave the bus."""
        if self._open is not None:
            await self._open.close()
            self._open = None

    def _bus(self) -> Bus:
        if self._open is None:
            clock = SystemClock(self._session.clock_offset_ns)
            self._open = join(self._session, clock, host="launcher")
        return self._open


async def _until(condition: Callable[[], bool]) -> bool:
    """Wait until a condition holds, but not for ever; return whether it does."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _TIMEOUT_S
    while not condition():
        if loop.time() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True
