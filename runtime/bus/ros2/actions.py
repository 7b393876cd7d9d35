"""Actions: a goal that takes its time, with feedback, a result, and the right to call it off.

An action is three services and two topics below `/NAME/_action`, so both backends can do it.

Source: design.ros2.org, "Actions"; action_msgs.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from olympus.runtime.bus.ros2.definitions import check_type_name
from olympus.runtime.bus.ros2.names import check_topic
from olympus.runtime.bus.ros2.participant import Participant, RosNode
from olympus.runtime.bus.ros2.qos import ACTION_STATUS, DEFAULT
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import BusError, MessageError

KEPT = 100
"""Ended goals whose results are kept for who asks late."""
MOST = 100
"""Goals that are carried out at once, and askers that wait for the result of one; no more."""
CANCEL = "action_msgs/srv/CancelGoal"
"""The type of the service that calls goals off."""


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

    @classmethod
    def read(cls, number: int) -> Status:
        """Return the status of a number that came over the wire.

        Raises:
            MessageError: ROS has no such status.
        """
        try:
            return cls(number)
        except ValueError:
            raise MessageError(f"a goal's status is 0 to 6, not {number}") from None


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
    waiting: int = 0
    """How many wait for its result."""

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
        node.serve(f"{base}/send_goal", f"{self._type}_SendGoal", self.on_goal)
        node.serve(f"{base}/get_result", f"{self._type}_GetResult", self.on_result)
        node.serve(f"{base}/cancel_goal", CANCEL, self.on_cancel)
        self._feedback = node.publisher(
            f"{base}/feedback", f"{self._type}_FeedbackMessage", DEFAULT
        )
        self._status = node.publisher(
            f"{base}/status", "action_msgs/msg/GoalStatusArray", ACTION_STATUS
        )

    async def on_goal(self, request: Any) -> Any:
        """Take on a goal, unless its id is in use, too many run, or it is not accepted."""
        goal_id = request.goal_id.uuid.tobytes()
        now = self._one.now_ns()
        is_taken = self._has_room(goal_id) and self._accept(request.goal)
        if is_taken:
            goal = Goal(goal_id, request.goal, lambda value: self._tell(goal_id, value), now)
            self._goals[goal_id] = goal
            goal.task = self._one.spawn(self._carry_out(goal))
            # Not in the coroutine: one that is called off before its first step never runs.
            goal.task.add_done_callback(lambda _: self._end(goal))
            self._publish_status()
        return self._one.new(
            f"{self._type}_SendGoal_Response", accepted=is_taken, stamp=self._stamp(now)
        )

    def _has_room(self, goal_id: bytes) -> bool:
        """Tell whether a goal of that id may begin; why not is counted."""
        why = ""
        if goal_id in self._goals:
            why = f"the goal id {goal_id.hex()} is in use; each goal has one of its own"
        elif sum(not goal.status.is_over for goal in self._goals.values()) >= MOST:
            why = f"{MOST} goals are being carried out; no more at once"
        if why:
            self._one.tallies.refuse(self._feedback.topic, MessageError(why))
        return not why

    async def _carry_out(self, goal: Goal) -> None:
        if goal.status is Status.ACCEPTED:
            goal.status = Status.EXECUTING
            self._publish_status()
        try:
            goal.result = await self._execute(goal)
            goal.status = Status.CANCELED if goal.is_canceling else Status.SUCCEEDED
        except asyncio.CancelledError:
            goal.status = Status.CANCELED
        except Exception as error:  # noqa: BLE001  the node boundary: counted, told
            self._one.tallies.refuse(self._feedback.topic, error)
            goal.status = Status.ABORTED

    def _end(self, goal: Goal) -> None:
        if not goal.status.is_over:
            goal.status = Status.CANCELED if goal.is_canceling else Status.ABORTED
        if goal.result is None:
            goal.result = self._one.new(f"{self._type}_Result")
        goal.over.set()
        with contextlib.suppress(BusError):  # the graph was left, and nobody hears it
            self._publish_status()
        self._forget()

    async def on_result(self, request: Any) -> Any:
        """Answer how a goal ended, once it has.

        Raises:
            BusError: Too many wait for it.
        """
        goal = self._goals.get(request.goal_id.uuid.tobytes())
        response = f"{self._type}_GetResult_Response"
        if goal is None:
            return self._one.new(response, status=int(Status.UNKNOWN))
        if goal.waiting >= MOST:
            raise BusError(f"{MOST} wait for the result of this goal already")
        goal.waiting += 1
        try:
            await goal.over.wait()
        finally:
            goal.waiting -= 1
        return self._one.new(response, status=int(goal.status), result=goal.result)

    async def on_cancel(self, request: Any) -> Any:
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
        response = self._one.new(f"{CANCEL}_Response")
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
                f"{self._type}_FeedbackMessage", goal_id=as_uuid(self._one, goal_id), feedback=value
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
            goal_id=as_uuid(self._one, goal.id),
            stamp=self._stamp(goal.stamp_ns),
        )

    def _stamp(self, ns: int) -> Any:
        sec, nanosec = divmod(ns, NS_PER_S)
        return self._one.new("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)


def as_uuid(one: Participant, raw: bytes) -> Any:
    """Return the id of a goal as ROS writes it."""
    return one.new("unique_identifier_msgs/msg/UUID", uuid=raw)
