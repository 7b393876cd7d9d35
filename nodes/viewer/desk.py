"""Carries what an operator asks of the page to where it belongs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from olympus.nodes.viewer.guardian import Latch, told
from olympus.nodes.viewer.hosts import Hosts
from olympus.nodes.viewer.peek import Peek
from olympus.nodes.viewer.streams import Json
from olympus.runtime.agents import NotUnderstoodError, understand
from olympus.runtime.bus import Entity
from olympus.runtime.errors import BusError, SafetyError
from olympus.runtime.messages import (
    Ack,
    Command,
    Empty,
    Message,
    ParamChange,
    ParamList,
    Sentence,
    schema_by_class,
)
from olympus.runtime.telemetry import exposition

if TYPE_CHECKING:
    from olympus.nodes.viewer.node import Viewer


COMMAND = schema_by_class(Command).name
SENTENCE = schema_by_class(Sentence).name
PLANNING_S = 5.0
"""How long a planner may think."""


def taker(graph: Iterable[Entity], namespace: str, type_: str = COMMAND) -> str | None:
    """Return the service that takes commands and answers them.

    Args:
        graph: Entities of the session.
        namespace: Of the viewer; who takes commands in it goes before others.
        type_: What it takes: commands, or sentences, as a planner does.

    Returns:
        Its full name; None when there is none, or more than one.
    """
    found = [one.topic for one in graph if one.kind == "srv" and one.type == type_]
    near = [name for name in found if name.startswith(f"{namespace}/")] or found
    return near[0] if len(near) == 1 else None


class RobotDesk:
    """The robot, as the page can ask it."""

    def __init__(self, node: Viewer, hosts: Hosts, peek: Peek, latch: Latch | None) -> None:
        """Act through `node`; without a `latch` there is no guardian to stop."""
        self._node = node
        self._peek = peek
        self._hosts = hosts
        self._latch = latch

    async def stop(self, cause: str) -> dict[str, Json]:
        """Trip the guardian.

        Raises:
            SafetyError: This viewer belongs to no session.
        """
        outcome = await self._guardian().stop(cause)
        self._node.log.warning(f"stop asked for: {cause}; {outcome.result}", text=outcome.text)
        return told(outcome)

    async def reset(self, latch: int | None) -> dict[str, Json]:
        """Lift the latch, if the guardian agrees.

        Raises:
            SafetyError: This viewer belongs to no session.
        """
        outcome = await self._guardian().reset(latch)
        self._node.log.info(f"reset asked for; {outcome.result}", text=outcome.text)
        return told(outcome)

    async def say(self, text: str) -> dict[str, Json]:
        """Hand a sentence to the node that takes commands, and return its answer.

        What the grammar does not know goes to the planner, if there is one.

        Raises:
            NotUnderstoodError: The sentence is not in the grammar; names sentences that are.
            BusError: Nobody takes commands, or who does gives no answer.
        """
        graph, near = self._node.bus.graph(), self._node.name.rpartition("/")[0]
        planner = taker(graph, near, SENTENCE)
        try:
            command = understand(text)
        except NotUnderstoodError:
            if planner is None:
                raise
            return await self._answer(planner, Sentence(text=text), PLANNING_S)
        service = taker(graph, near)
        if service is None:
            return self._send(command, graph)
        answer = await self._answer(service, command)
        if planner is not None and not answer["ok"] and " " in command.args.get("place", ""):
            return await self._answer(planner, Sentence(text=text), PLANNING_S)
        return answer

    def _send(self, command: Command, graph: list[Entity]) -> dict[str, Json]:
        """Publish a command that nobody is there to answer.

        Raises:
            BusError: Nobody hears it either.
        """
        topic = self._node.command.topic
        if graph and not any(end.kind == "sub" and end.topic == topic for end in graph):
            raise BusError(f"nobody takes commands on {topic}; is the navigator running?")
        self._node.command.publish(command)
        return {"ok": True, "text": f"sent: {command.text}"}

    async def params_of(self, node: str) -> dict[str, Json]:
        """List a node's parameters.

        Raises:
            BusError: The node does not answer.
        """
        answer = await self._ask(f"{node}/param/list", Empty())
        if not isinstance(answer, ParamList):
            raise BusError(f"{node} answers with a {type(answer).__name__}, not its parameters")
        return {"ok": True, "values": answer.values, "schema": answer.schema}

    async def set_param(self, node: str, name: str, value: str) -> dict[str, Json]:
        """Set a parameter.

        Raises:
            BusError: The node does not answer.
        """
        change = ParamChange(values={name: value})
        return await self._answer(f"{node}/param/set", change, ParamChange.PATIENCE_S)

    async def newest(self, topic: str) -> dict[str, Json]:
        """Return the newest message of a topic, listened to from the first question on.

        Raises:
            BusError: There is no such topic, or its messages can't be read here.
            ConfigError: It is no topic's name.
        """
        return self._peek.newest(topic)

    async def plot(self, topic: str, field: str, *, on: bool) -> dict[str, Json]:
        """Plot a field of a topic's messages for everybody who watches, or no longer.

        Raises:
            ConfigError: It is no topic's name, or too many fields are plotted.
        """
        await self._node.plot(topic, field, on=on)
        return {"ok": True, "text": ""}

    def metrics(self) -> str:
        """Return the Prometheus text of all hosts that are there."""
        return exposition(self._hosts.present(self._node.clock.now_ns()))

    def now_ms(self) -> float:
        """Return robot time, ms."""
        return self._node.now_ms()

    async def _answer(
        self, service: str, request: Message, timeout_s: float = 2.0
    ) -> dict[str, Json]:
        answer = await self._node.call(service, request, timeout_s=timeout_s)
        if not isinstance(answer, Ack):
            raise BusError(f"{service} answers with a {type(answer).__name__}, not yes or no")
        return {"ok": answer.ok, "text": answer.text}

    async def _ask(self, service: str, request: Message) -> Message:
        return await self._node.call(service, request)

    def _guardian(self) -> Latch:
        if self._latch is None:
            raise SafetyError("this viewer runs outside a session, so there is no guardian to ask")
        return self._latch
