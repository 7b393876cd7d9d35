"""The lifecycle services of a node, and its `transition_event`.

Source: lifecycle_msgs; design.ros2.org, "Managed nodes".
"""

from __future__ import annotations

import logging
from typing import Any

from olympus.runtime.bus.bus import Bus
from olympus.runtime.bus.ros2.participant import Participant, RosNode
from olympus.runtime.messages import Ack, Transition

_log = logging.getLogger(__name__)
STATES = {"unknown": 0, "unconfigured": 1, "inactive": 2, "active": 3, "finalized": 4}
TRANSITIONS = (
    (1, "configure", "unconfigured", "inactive"),
    (2, "cleanup", "inactive", "unconfigured"),
    (3, "activate", "inactive", "active"),
    (4, "deactivate", "active", "inactive"),
    (5, "shutdown", "unconfigured", "finalized"),
    (6, "shutdown", "inactive", "finalized"),
    (7, "shutdown", "active", "finalized"),
)
"""Number, label, from, to."""
_MSG, _SRV = "lifecycle_msgs/msg/", "lifecycle_msgs/srv/"


class LifecycleServices:
    """The lifecycle of one of our nodes, as ROS asks for it."""

    def __init__(self, one: Participant, node: RosNode, bus: Bus, *, name: str) -> None:
        """Answer for the node `name`, which ROS sees as `node`."""
        self._one, self._bus, self._name = one, bus, name
        self.state = "unknown"
        for service, type_, answer in (
            ("change_state", "ChangeState", self._change),
            ("get_state", "GetState", self._get),
            ("get_available_states", "GetAvailableStates", self._states),
            ("get_available_transitions", "GetAvailableTransitions", self._possible),
            ("get_transition_graph", "GetAvailableTransitions", self._all),
        ):
            node.serve(f"{node.name}/{service}", f"{_SRV}{type_}", answer)
        self._events = node.publisher(f"{node.name}/transition_event", f"{_MSG}TransitionEvent")

    def note(self, state: str) -> None:
        """Take notice of the node's state, and tell a change."""
        before, self.state = self.state, state if state in STATES else "unknown"
        if before in (self.state, "unknown"):
            return
        transition = next((t for t in TRANSITIONS if t[2:] == (before, self.state)), None)
        event = self._one.new(
            f"{_MSG}TransitionEvent",
            start_state=self._state(before),
            goal_state=self._state(self.state),
        )
        if transition is not None:
            event.transition = self._transition(transition)
        self._events.publish(event)

    async def _change(self, request: Any) -> Any:
        number, label = request.transition.id, request.transition.label
        wanted = next((t[1] for t in TRANSITIONS if t[0] == number), "") or label
        answer = await self._bus.call(
            f"{self._name}/lifecycle", Transition(transition=wanted), Ack, timeout_s=10.0
        )
        if answer.ok:
            self.note(answer.text)
        else:  # ROS's answer has no place for a reason
            _log.warning("ROS asks %s for %r: %s", self._name, wanted or number, answer.text)
        return self._one.new(f"{_SRV}ChangeState_Response", success=answer.ok)

    async def _get(self, _request: Any) -> Any:
        return self._one.new(f"{_SRV}GetState_Response", current_state=self._state(self.state))

    async def _states(self, _request: Any) -> Any:
        states = [self._state(name) for name in STATES]
        return self._one.new(f"{_SRV}GetAvailableStates_Response", available_states=states)

    async def _possible(self, _request: Any) -> Any:
        return self._described([t for t in TRANSITIONS if t[2] == self.state])

    async def _all(self, _request: Any) -> Any:
        return self._described(list(TRANSITIONS))

    def _described(self, transitions: list[tuple[int, str, str, str]]) -> Any:
        made = [
            self._one.new(
                f"{_MSG}TransitionDescription",
                transition=self._transition(one),
                start_state=self._state(one[2]),
                goal_state=self._state(one[3]),
            )
            for one in transitions
        ]
        return self._one.new(f"{_SRV}GetAvailableTransitions_Response", available_transitions=made)

    def _state(self, name: str) -> Any:
        return self._one.new(f"{_MSG}State", id=STATES[name], label=name)

    def _transition(self, one: tuple[int, str, str, str]) -> Any:
        return self._one.new(f"{_MSG}Transition", id=one[0], label=one[1])
