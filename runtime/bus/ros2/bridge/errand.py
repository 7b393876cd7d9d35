"""An action of ROS as a service of ours, so that a step of a plan can have it carried out.

The service takes a `Pose` where the action is Nav2's NavigateToPose, else a `RosValue` of the
action's goal. It answers when the goal has ended, and tells meanwhile on SERVICE/progress how it
goes. A goal is called off when who asked gives up or dies, when its time is up, when the bridge
ends, and, where it moves the robot, when a newer goal comes or motion is stopped.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import uuid
from pathlib import Path
from typing import Any

import numpy as np

from olympus.runtime.bus.bus import Bus
from olympus.runtime.bus.options import PublisherOptions
from olympus.runtime.bus.ros2.action_client import ActionClient, GoalHandle
from olympus.runtime.bus.ros2.actions import Status
from olympus.runtime.bus.ros2.backend import Arrival
from olympus.runtime.bus.ros2.bridge.permission import Permission
from olympus.runtime.bus.ros2.bridge.settings import Action
from olympus.runtime.bus.ros2.mapping import Context, Mapper
from olympus.runtime.bus.ros2.participant import Participant, RosNode
from olympus.runtime.bus.ros2.qos import ACTION_STATUS
from olympus.runtime.errors import BusError, MessageError, OlympusError, SafetyError
from olympus.runtime.messages import Ack, Message, MissionState, Pose, RosValue

NAVIGATE = "nav2_msgs/action/NavigateToPose"
CALL_OFF_S = 2.0
"""How long a server may take to say that it calls a goal off, and again to have ended it."""
_LOOK_S = 0.01
_MARK = 8
"""Bytes of a goal's id that say whose it is."""
_log = logging.getLogger(__name__)


class Errand:
    """One action that our nodes can ask for."""

    def __init__(
        self,
        entry: Action,
        *,
        one: Participant,
        node: RosNode,
        bus: Bus,
        mapper: Mapper,
        ctx: Context,
        name: str,
        permission: Permission,
    ) -> None:
        """Serve it.

        Args:
            entry: What the launch file says about it.
            one: The participant.
            node: The ROS node that asks.
            bus: Where our service is.
            mapper: Turns a `Pose` into ROS's.
            ctx: Time and frames.
            name: Full name of our node that serves.
            permission: Tells whether motion is permitted.

        Raises:
            MessageError: The type has no definition.
        """
        self._entry, self._one, self._mapper, self._ctx = entry, one, mapper, ctx
        self._permission = permission
        self._client = ActionClient(one, node, entry.ros, entry.type)
        self._mark = mark_of(name, str(permission.place))
        self._running: dict[bytes, asyncio.Future[str]] = {}
        """By goal id: set to the reason why it is to be called off."""
        self._ending: set[asyncio.Task[str]] = set()
        self._done = 0
        self._bus = bus
        self._progress: Any = bus.publisher(
            f"{entry.service}/progress",
            MissionState if entry.type == NAVIGATE else RosValue,
            PublisherOptions(node=name),
        )
        self._status = node.subscribe(
            f"{self._client.name}/_action/status",
            "action_msgs/msg/GoalStatusArray",
            self._hand_over,
            ACTION_STATUS,
        )
        self._service = bus.serve(entry.service, Message, self._answer, node=name)

    async def close(self) -> None:
        """Serve it no more, and call off what is under way; again is harmless."""
        self._bus.withdraw_service(self._service)
        self._call_off("the bridge leaves the graph")
        until = self._one.loop.time() + 2 * CALL_OFF_S
        while (self._running or self._ending) and self._one.loop.time() < until:
            await asyncio.sleep(_LOOK_S)
        self._status.close()
        self._bus.withdraw(self._progress)
        self._client.close()

    async def _answer(self, question: Message) -> Ack:
        goal, entry = self._goal(question), self._entry
        epoch = 0
        if entry.moves:
            epoch = self._permitted()
            self._call_off("another goal came")
        goal_id = self._mark + os.urandom(16 - _MARK)
        off: asyncio.Future[str] = self._one.loop.create_future()
        self._running[goal_id] = off
        try:
            handle = await self._client.send(
                goal, on_feedback=self._tell, timeout_s=entry.patience_s, goal_id=goal_id
            )
            return await self._see_through(handle, off, epoch)
        finally:
            del self._running[goal_id]

    async def _see_through(self, handle: GoalHandle, off: asyncio.Future[str], epoch: int) -> Ack:
        """Wait for the end of a goal, or for a reason to call it off.

        Raises:
            CancelledError: Who asked for it gave up; it is called off.
        """
        result = asyncio.ensure_future(handle.result())
        watch = asyncio.ensure_future(self._until_stopped(epoch))
        try:
            await asyncio.wait(
                (result, off, watch),
                timeout=self._entry.limit_s,
                return_when=asyncio.FIRST_COMPLETED,
            )
        except asyncio.CancelledError:
            self._end(handle, result, "who asked for it gave up")
            raise
        finally:
            watch.cancel()
        if result.done():
            return self._ended(*result.result())
        why = f"it is not done within {self._entry.limit_s:g} s"
        for told in (off, watch):
            if told.done():
                why = told.result()
        return Ack(ok=False, text=await asyncio.shield(self._end(handle, result, why)))

    def _end(self, handle: GoalHandle, result: asyncio.Future[Any], why: str) -> asyncio.Task[str]:
        """Call a goal off, whoever still waits for it."""
        task = asyncio.create_task(self._see_it_end(handle, result, why))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return task

    async def _see_it_end(self, handle: GoalHandle, result: asyncio.Future[Any], why: str) -> str:
        try:
            is_told = await handle.cancel(timeout_s=CALL_OFF_S)
            await asyncio.wait((result,), timeout=CALL_OFF_S)
            if result.done():
                result.result()
                return self._told(f"called off: {why}")
            error = BusError(
                "it was called off and goes on" if is_told else "its server won't call it off"
            )
        except OlympusError as problem:
            error = BusError(str(problem))
        finally:
            result.cancel()
        # Loud: what is to stand may still drive. The gate and the guardian don't rest on this.
        _log.critical("%s: a goal is to end, %s; but %s", self._entry.ros, why, error)
        self._one.tallies.refuse(self._entry.ros, error)
        return self._told(f"to be called off, {why}; but {error}")

    def _ended(self, status: Status, result: Any) -> Ack:
        is_done = status is Status.SUCCEEDED
        self._done += is_done
        text = getattr(result, "error_msg", "") or status.name.lower()
        return Ack(ok=is_done, text=self._told(text))

    def _call_off(self, why: str) -> None:
        for off in self._running.values():
            if not off.done():
                off.set_result(why)

    def _permitted(self) -> int:
        """Return the epoch of the permission to move.

        Raises:
            SafetyError: There is none: a goal that began now would move with a later reset.
        """
        epoch, why = self._permission.look()
        if why:
            raise SafetyError(f"{self._entry.ros}: {why}; reset it, then say it again")
        return epoch

    async def _until_stopped(self, epoch: int) -> str:
        if not self._entry.moves:
            return await asyncio.Future()
        return await self._permission.until_lost(epoch)

    def _hand_over(self, value: Any, _arrival: Arrival) -> None:
        if not self._one.loop.is_closed():
            self._one.loop.call_soon_threadsafe(self._on_status, value)

    def _on_status(self, value: Any) -> None:
        """Call off what an earlier bridge of this session began: nobody waits for it any more."""
        for one in value.status_list:
            goal_id = one.goal_info.goal_id.uuid.tobytes()
            is_ours = goal_id[:_MARK] == self._mark and goal_id not in self._running
            if is_ours and one.status in (Status.ACCEPTED, Status.EXECUTING):
                self._one.spawn(self._take_back(goal_id))

    async def _take_back(self, goal_id: bytes) -> None:
        try:
            if await self._client.cancel(goal_id, CALL_OFF_S):
                _log.warning("%s: called off a goal nobody waits for", self._entry.ros)
        except OlympusError as error:
            _log.error("%s: a goal goes on that nobody waits for: %s", self._entry.ros, error)
            self._one.tallies.refuse(self._entry.ros, error)

    def _tell(self, feedback: Any) -> None:
        if self._entry.type == NAVIGATE:
            self._publish("driving", f"{feedback.distance_remaining:.2f} m to go")
            return
        type_ = f"{self._entry.type}_Feedback"
        cdr = self._one.codecs.get(type_).encode(feedback)
        self._progress.publish(RosValue(type=type_, cdr=np.frombuffer(cdr, np.uint8)))

    def _told(self, text: str) -> str:
        if self._entry.type == NAVIGATE:
            self._publish("idle", text)
        return text

    def _publish(self, state: str, text: str) -> None:
        self._progress.publish(
            MissionState(mission=self._entry.ros, state=state, reason=text, done=self._done)
        )

    def _goal(self, question: Message) -> Any:
        wanted = f"{self._entry.type}_Goal"
        if isinstance(question, Pose) and self._entry.type == NAVIGATE:
            pose = self._mapper.to_ros(question, "geometry_msgs/msg/PoseStamped", self._ctx)
            return self._client.new_goal(pose=pose)
        if isinstance(question, RosValue) and question.type == wanted:
            return self._one.codecs.get(wanted).decode(question.cdr.tobytes())
        also = "a Pose or " if self._entry.type == NAVIGATE else ""
        raise MessageError(
            f"{self._entry.service} takes {also}a RosValue of {wanted}, not "
            f"{getattr(question, 'type', type(question).__name__)}"
        )


def mark_of(name: str, place: str) -> bytes:
    """Return what the ids of a bridge's goals begin with, the same when it is started again.

    Args:
        name: Full name of the bridge's node.
        place: The session's folder.
    """
    whose = f"{_machine()} {place} {name}"
    return hashlib.sha256(whose.encode()).digest()[:_MARK]


def _machine() -> str:
    """Return what tells this machine from others of the graph, the same for each of its processes.

    Containers of one image may share their machine-id, and of one machine the boot's id; not the
    number of their network card. Where there is none, Python makes one up, another in every
    process; but then nobody else's machine is in the graph.
    """
    number = uuid.getnode()
    # Source: RFC 9562, 6.10: a made-up number has the least bit of its first octet set.
    if number >> 40 & 1:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return str(number)
