"""Actions: a goal that takes its time, with feedback, a result, and the right to call it off.

An action is three services and two topics below `/NAME/_action`, so both backends can do it.

Source: design.ros2.org, "Actions"; action_msgs.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from olympus.runtime.bus.link import Closable
from olympus.runtime.bus.ros2.backend import Arrival
from olympus.runtime.bus.ros2.definitions import check_type_name
from olympus.runtime.bus.ros2.names import check_topic
from olympus.runtime.bus.ros2.participant import Participant, RosNode
from olympus.runtime.bus.ros2.qos import ACTION_STATUS, DEFAULT
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import BusError, OlympusError

KEPT = 100
"""Ended goals whose results are kept for who asks late."""
_CANCEL = "action_msgs/srv/CancelGoal"


class Status(IntEnum):
    """Where a goal is; the numbers are action_msgs/GoalStatus'."""

    UNKNOWN = 0
    ACCEPTED = 1
    EXECUTING = 2
    CANCELING = 3
    SUCCEEDED = 4
    CANCELED = 5
    ABORTED = 6

    @property
    def is_over(self) -> bool:
        """Whether it has ended, in whatever way."""
        return self >= Status.SUCCEEDED


@dataclass(slots=True)
class Goal:
    """A goal at its server."""

    id: bytes
    value: Any
    """The goal as it was sent."""
    tell: Callable[[Any], None]
    """Sends feedback."""
    stamp_ns: int
    status: Status = Status.ACCEPTED
    result: Any = None
    over: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def is_canceling(self) -> bool:
        """Whether it was called off and has not ended yet."""
        return self.status is Status.CANCELING


Execute = Callable[[Goal], Awaitable[Any]]
"""Carries a goal out and returns its result; CancelledError reaches it when it is called off."""


class ActionServer:
    """Serves one action."""

    def __init__(
        self,
        one: Participant,
        node: RosNode,
        name: str,
        type_: str,
        execute: Execute,
        *,
        accept: Callable[[Any], bool] = lambda _goal: True,
    ) -> None:
        """Serve it.

        Args:
            one: The participant.
            node: The node that serves.
            name: Full name of the action, such as `/navigate_to_pose`.
            type_: Its type, such as `nav2_msgs/action/NavigateToPose`.
            execute: Carries a goal out. Called off, it is cancelled where it waits; what it returns
                then, or None for an empty result, is the result of the cancelled goal.
            accept: Says whether a goal is accepted.

        Raises:
            MessageError: The type has no definition.
        """
        self._one, self._execute, self._accept = one, execute, accept
        self._type = check_type_name(type_)
        self._goals: dict[bytes, Goal] = {}
        base = f"{check_topic(name)}/_action"
        node.serve(f"{base}/send_goal", f"{self._type}_SendGoal", self._on_goal)
        node.serve(f"{base}/get_result", f"{self._type}_GetResult", self._on_result)
        node.serve(f"{base}/cancel_goal", _CANCEL, self._on_cancel)
        self._feedback = node.publisher(
            f"{base}/feedback", f"{self._type}_FeedbackMessage", DEFAULT
        )
        self._status = node.publisher(
            f"{base}/status", "action_msgs/msg/GoalStatusArray", ACTION_STATUS
        )

    async def _on_goal(self, request: Any) -> Any:
        goal_id = request.goal_id.uuid.tobytes()
        is_new = goal_id not in self._goals
        is_taken = is_new and self._accept(request.goal)
        now = self._one.now_ns()
        if is_taken:
            goal = Goal(goal_id, request.goal, lambda value: self._tell(goal_id, value), now)
            self._goals[goal_id] = goal
            goal.task = self._one.spawn(self._carry_out(goal))
            self._publish_status()
        return self._one.new(
            f"{self._type}_SendGoal_Response", accepted=is_taken, stamp=self._stamp(now)
        )

    async def _carry_out(self, goal: Goal) -> None:
        if goal.status is Status.ACCEPTED:
            goal.status = Status.EXECUTING
            self._publish_status()
        try:
            goal.result = await self._execute(goal)
            goal.status = Status.CANCELED if goal.is_canceling else Status.SUCCEEDED
        except asyncio.CancelledError:
            goal.status = Status.CANCELED
        except OlympusError as error:
            self._one.tallies.refuse(self._feedback.topic, error)
            goal.status = Status.ABORTED
        finally:
            if not goal.status.is_over:
                goal.status = Status.ABORTED
            if goal.result is None:
                goal.result = self._one.new(f"{self._type}_Result")
            goal.over.set()
            self._publish_status()
            self._forget()

    async def _on_result(self, request: Any) -> Any:
        goal = self._goals.get(request.goal_id.uuid.tobytes())
        response = f"{self._type}_GetResult_Response"
        if goal is None:
            return self._one.new(response, status=int(Status.UNKNOWN))
        await goal.over.wait()
        return self._one.new(response, status=int(goal.status), result=goal.result)

    async def _on_cancel(self, request: Any) -> Any:
        """Call goals off: one by its id, those up to a time, or with neither all."""
        info = request.goal_info
        goal_id = info.goal_id.uuid.tobytes()
        until_ns = info.stamp.sec * NS_PER_S + info.stamp.nanosec
        is_named = any(goal_id)
        chosen = [
            goal
            for goal in self._goals.values()
            if goal.id == goal_id
            or (not is_named and not until_ns)
            or (until_ns and goal.stamp_ns <= until_ns)
        ]
        response = self._one.new(f"{_CANCEL}_Response")
        for goal in chosen:
            if not goal.status.is_over:
                goal.status = Status.CANCELING
                response.goals_canceling.append(self._info(goal))
                if goal.task is not None:
                    goal.task.cancel()
        if is_named and not chosen:
            response.return_code = 2
        elif is_named and not response.goals_canceling:
            response.return_code = 3
        self._publish_status()
        return response

    def _tell(self, goal_id: bytes, value: Any) -> None:
        self._feedback.publish(
            self._one.new(
                f"{self._type}_FeedbackMessage", goal_id=_uuid(self._one, goal_id), feedback=value
            )
        )

    def _publish_status(self) -> None:
        made = [
            self._one.new(
                "action_msgs/msg/GoalStatus", goal_info=self._info(goal), status=int(goal.status)
            )
            for goal in self._goals.values()
        ]
        self._status.publish(self._one.new("action_msgs/msg/GoalStatusArray", status_list=made))

    def _forget(self) -> None:
        ended = [goal.id for goal in self._goals.values() if goal.status.is_over]
        for goal_id in ended[:-KEPT]:
            del self._goals[goal_id]

    def _info(self, goal: Goal) -> Any:
        return self._one.new(
            "action_msgs/msg/GoalInfo",
            goal_id=_uuid(self._one, goal.id),
            stamp=self._stamp(goal.stamp_ns),
        )

    def _stamp(self, ns: int) -> Any:
        sec, nanosec = divmod(ns, NS_PER_S)
        return self._one.new("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)


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
        self._send = node.client(f"{base}/send_goal", f"{self._type}_SendGoal")
        self._result = node.client(f"{base}/get_result", f"{self._type}_GetResult")
        self._cancel = node.client(f"{base}/cancel_goal", _CANCEL)
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
    ) -> GoalHandle:
        """Ask for a goal.

        Args:
            goal: Of the action's `_Goal` type.
            on_feedback: Called in the event loop with each feedback.
            timeout_s: How long to wait for the server, and for it to accept.

        Raises:
            BusError: No server, or it does not accept the goal.
        """
        goal_id = uuid.uuid4().bytes
        if on_feedback is not None:
            self._listeners[goal_id] = on_feedback
        request = self._one.new(
            f"{self._type}_SendGoal_Request", goal_id=_uuid(self._one, goal_id), goal=goal
        )
        response = await self._send.call(request, timeout_s=timeout_s)
        if not response.accepted:
            self._listeners.pop(goal_id, None)
            raise BusError(f"{self.name} does not accept this goal")
        return GoalHandle(self, goal_id)

    async def result_of(self, goal_id: bytes, timeout_s: float | None) -> tuple[Status, Any]:
        """Wait for the end of a goal.

        Raises:
            BusError: The server is gone, or it takes longer than `timeout_s`.
        """
        request = self._one.new(
            f"{self._type}_GetResult_Request", goal_id=_uuid(self._one, goal_id)
        )
        try:
            response = await self._result.call(request, timeout_s=timeout_s)
        finally:
            self._listeners.pop(goal_id, None)
        return Status(response.status), response.result

    async def cancel(self, goal_id: bytes, timeout_s: float) -> bool:
        """Call a goal off; return whether the server does so.

        Raises:
            BusError: The server does not answer.
        """
        info = self._one.new("action_msgs/msg/GoalInfo", goal_id=_uuid(self._one, goal_id))
        request = self._one.new(f"{_CANCEL}_Request", goal_info=info)
        response = await self._cancel.call(request, timeout_s=timeout_s)
        return bool(response.goals_canceling)

    def close(self) -> None:
        """Close it; again is harmless."""
        for end in (self._send, self._result, self._cancel, *self._ends):
            end.close()

    def _on_feedback(self, value: Any, _arrival: Arrival) -> None:
        listener = self._listeners.get(value.goal_id.uuid.tobytes())
        if listener is not None and not self._one.loop.is_closed():
            self._one.loop.call_soon_threadsafe(listener, value.feedback)


def _uuid(one: Participant, raw: bytes) -> Any:
    return one.new("unique_identifier_msgs/msg/UUID", uuid=raw)
