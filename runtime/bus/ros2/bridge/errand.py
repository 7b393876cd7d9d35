"""An action of ROS as a service of ours, so that a step of a plan can have it carried out.

The service takes a `Pose` where the action is Nav2's NavigateToPose, else a `RosValue` of the
action's goal. It answers when the goal has ended; who gives up waiting calls the goal off.
"""

from __future__ import annotations

import asyncio
from typing import Any

from olympus.runtime.bus.bus import Bus
from olympus.runtime.bus.ros2.actions import ActionClient, Status
from olympus.runtime.bus.ros2.bridge.settings import Action
from olympus.runtime.bus.ros2.mapping import Context, Mapper
from olympus.runtime.bus.ros2.participant import Participant, RosNode
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import Ack, Message, Pose, RosValue

NAVIGATE = "nav2_msgs/action/NavigateToPose"


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

        Raises:
            MessageError: The type has no definition.
        """
        self._entry, self._one, self._mapper, self._ctx = entry, one, mapper, ctx
        self._client = ActionClient(one, node, entry.ros, entry.type)
        self._bus = bus
        self._service = bus.serve(entry.service, Message, self._answer, node=name)

    def close(self) -> None:
        """Serve it no more; again is harmless."""
        self._bus.withdraw_service(self._service)
        self._client.close()

    async def _answer(self, question: Message) -> Ack:
        handle = await self._client.send(self._goal(question), timeout_s=self._entry.patience_s)
        try:
            status, result = await handle.result()
        except asyncio.CancelledError:
            self._one.spawn(_called_off(handle))
            raise
        text = getattr(result, "error_msg", "") or status.name.lower()
        return Ack(ok=status is Status.SUCCEEDED, text=text)

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


async def _called_off(handle: Any) -> None:
    await handle.cancel()
