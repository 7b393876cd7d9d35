"""The asking end of an action: send a goal, hear how it goes, await its end, call it off."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from typing import Any

from olympus.runtime.bus.link import Closable
from olympus.runtime.bus.ros2.actions import CANCEL, Status, as_uuid
from olympus.runtime.bus.ros2.backend import Arrival
from olympus.runtime.bus.ros2.definitions import check_type_name
from olympus.runtime.bus.ros2.names import check_topic
from olympus.runtime.bus.ros2.participant import Participant, RosNode
from olympus.runtime.bus.ros2.wire import RosEntity
from olympus.runtime.errors import BusError, OlympusError

_log = logging.getLogger(__name__)
_SEND = "_SendGoal"


class GoalHandle:
    """A goal at its client."""

    def __init__(self, client: ActionClient, goal_id: bytes) -> None:
        self._client, self.id = client, goal_id

    async def result(self, *, timeout_s: float | None = None) -> tuple[Status, Any]:
        """Wait for the end and return how it ended, and the result.

        Raises:
            BusError: The server is gone, or it takes longer than `timeout_s`.
        """
        return await self._client.result_of(self.id, timeout_s)

    async def cancel(self, *, timeout_s: float = 2.0) -> bool:
        """Call it off; return whether the server does so.

        Raises:
            BusError: The server does not answer.
        """
        return await self._client.cancel(self.id, timeout_s)


class ActionClient:
    """Asks for goals of one action."""

    def __init__(self, one: Participant, node: RosNode, name: str, type_: str) -> None:
        """Open the asking end.

        Raises:
            MessageError: The type has no definition.
        """
        self._one, self._type = one, check_type_name(type_)
        self.name = check_topic(name)
        base = f"{self.name}/_action"
        self._send = node.client(f"{base}/send_goal", f"{self._type}{_SEND}")
        self._result = node.client(f"{base}/get_result", f"{self._type}_GetResult")
        self._cancel = node.client(f"{base}/cancel_goal", CANCEL)
        self._listeners: dict[bytes, Callable[[Any], None]] = {}
        self._ends: list[Closable] = [
            node.subscribe(f"{base}/feedback", f"{self._type}_FeedbackMessage", self._on_feedback)
        ]

    def new_goal(self, **fields: Any) -> Any:
        """Return a new goal of this action's type."""
        return self._one.new(f"{self._type}_Goal", **fields)

    async def send(
        self,
        goal: Any,
        *,
        on_feedback: Callable[[Any], None] | None = None,
        timeout_s: float = 5.0,
        goal_id: bytes | None = None,
    ) -> GoalHandle:
        """Ask for a goal; who gives up before it is accepted has it called off.

        Args:
            goal: Of the action's `_Goal` type.
            on_feedback: Called in the event loop with each feedback.
            timeout_s: How long to wait for the server, and for it to accept.
            goal_id: 16 bytes that no other goal has; random ones when left out.

        Raises:
            BusError: No server or several, or it does not accept the goal.
            MessageError: `goal` is no value of its type.
            CancelledError: The caller is asked to end.
        """
        goal_id = uuid.uuid4().bytes if goal_id is None else goal_id
        request = self._one.new(
            f"{self._type}{_SEND}_Request", goal_id=as_uuid(self._one, goal_id), goal=goal
        )
        self._send.request.encode(request)  # what does not fit is said before anybody is looked for
        await self._wait_for_one_server(timeout_s)
        if on_feedback is not None:
            self._listeners[goal_id] = on_feedback
        asking = asyncio.ensure_future(self._send.call(request, timeout_s=timeout_s))
        try:
            response = await asyncio.shield(asking)
        except (BusError, asyncio.CancelledError):
            # Whether the server has it is unknown: without this it would be carried out for nobody.
            self._listeners.pop(goal_id, None)
            self._one.spawn(self._take_back(goal_id, asking))
            raise
        if not response.accepted:
            self._listeners.pop(goal_id, None)
            raise BusError(f"{self.name} does not accept this goal")
        return GoalHandle(self, goal_id)

    async def result_of(self, goal_id: bytes, timeout_s: float | None) -> tuple[Status, Any]:
        """Wait for the end of a goal.

        Raises:
            BusError: The server is gone, or it takes longer than `timeout_s`.
            MessageError: It ends in a way that ROS does not know.
        """
        request = self._one.new(
            f"{self._type}_GetResult_Request", goal_id=as_uuid(self._one, goal_id)
        )
        try:
            response = await self._result.call(request, timeout_s=timeout_s)
        finally:
            self._listeners.pop(goal_id, None)
        return Status.read(response.status), response.result

    async def cancel(self, goal_id: bytes, timeout_s: float) -> bool:
        """Call a goal off; return whether the server does so.

        Raises:
            BusError: The server does not answer.
        """
        info = self._one.new("action_msgs/msg/GoalInfo", goal_id=as_uuid(self._one, goal_id))
        request = self._one.new(f"{CANCEL}_Request", goal_info=info)
        response = await self._cancel.call(request, timeout_s=timeout_s)
        return bool(response.goals_canceling)

    def close(self) -> None:
        """Close it; again is harmless."""
        for end in (self._send, self._result, self._cancel, *self._ends):
            end.close()

    async def _wait_for_one_server(self, timeout_s: float) -> None:
        """Wait until somebody serves the action, and make sure that nobody else does too.

        Two servers would both accept a goal, and two robots drive off.

        Raises:
            BusError: There is none, or more than one.
        """
        try:
            await self._send.wait_served(timeout_s)
        except BusError:
            raise BusError(self._nobody(timeout_s)) from None
        nodes = sorted(one.full_node for one in self._servers() if one.type == self._send.type_name)
        if len(nodes) > 1:
            raise BusError(
                f"{len(nodes)} servers for the action {self.name}: {', '.join(nodes)}; both would "
                "carry out the goal: end one, or give each robot a namespace"
            )

    def _nobody(self, timeout_s: float) -> str:
        text = f"no server for the action {self.name} of type {self._type} (waited {timeout_s:g} s)"
        other = next(iter(self._servers()), None)
        if other is None:
            return f"{text}; start what serves it (Nav2, say), or see `olympus ros2 action list`"
        if (type_ := other.type.removesuffix(_SEND)) != self._type:
            return f"{text}; {other.full_node} serves that name with the type {type_}"
        return (
            f"{text}; {other.full_node} serves it, with another definition of that type: say of "
            "which distribution it is (`distro`)"
        )

    def _servers(self) -> list[RosEntity]:
        topic = self._send.name
        return [e for e in self._one.backend.entities() if e.kind == "SS" and e.topic == topic]

    async def _take_back(self, goal_id: bytes, asking: asyncio.Future[Any]) -> None:
        """Call a goal off of which nobody knows whether it was accepted."""
        try:
            await asyncio.wait((asking,))
            refused = asking.exception() is None and not asking.result().accepted
            if not refused:
                await self.cancel(goal_id, 2.0)
        except OlympusError as error:
            _log.error("%s: a goal may go on that nobody waits for: %s", self.name, error)
            self._one.tallies.refuse(self.name, error)

    def _on_feedback(self, value: Any, _arrival: Arrival) -> None:
        listener = self._listeners.get(value.goal_id.uuid.tobytes())
        if listener is not None and not self._one.loop.is_closed():
            self._one.loop.call_soon_threadsafe(listener, value.feedback)
