"""`/stop` in ROS, mirrored into the guardian.

The way of a stop never leads through ROS: the guardian has its own. This is one more hand on the
same cord, and there is none here that could permit motion again.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from pathlib import Path
from typing import Any

from olympus.runtime.bus.ros2.backend import Arrival
from olympus.runtime.bus.ros2.participant import Participant, RosNode
from olympus.runtime.bus.ros2.qos import SENSOR_DATA
from olympus.runtime.errors import OlympusError
from olympus.runtime.safety.client import Outcome, SafetyClient

_log = logging.getLogger(__name__)
_PATIENCE_S = 5.0


class RosStop:
    """The stop as ROS sees it: a topic and a service."""

    def __init__(self, one: Participant, node: RosNode, name: str, safety_dir: Path) -> None:
        """Listen.

        Args:
            one: The participant.
            node: The ROS node that listens.
            name: Name of topic and service.
            safety_dir: Where the guardian is.
        """
        self._one, self._name = one, name
        self._client = SafetyClient(safety_dir)
        self._busy = threading.Lock()
        self.count = 0
        node.subscribe(name, "std_msgs/msg/Bool", self._on_bool)
        if not one.backend.knows_own:  # over DDS: who publishes without reliability is heard too
            node.subscribe(name, "std_msgs/msg/Bool", self._on_bool, SENSOR_DATA)
        if one.backend.takes_several_types:
            node.subscribe(name, "std_msgs/msg/Empty", self._on_empty)
        node.serve(name, "std_srvs/srv/Trigger", self._on_call)

    def _on_bool(self, value: Any, _arrival: Arrival) -> None:
        """Stop on true; false undoes nothing."""
        if value.data:
            self._pull()

    def _on_empty(self, _value: Any, _arrival: Arrival) -> None:
        self._pull()

    def _pull(self) -> None:
        """Stop from a thread of its own: the receiving thread goes on at once."""
        threading.Thread(target=self._stop, name="ros-stop", daemon=True).start()

    def _stop(self) -> Outcome | None:
        if not self._busy.acquire(blocking=False):
            return None  # one is on its way already; another would say the same
        try:
            self.count += 1
            outcome = self._client.stop(f"ROS {self._name}", by="ROS")
            if not outcome.is_confirmed:
                _log.error("ROS %s: %s: %s", self._name, outcome.result, outcome.text)
            return outcome
        except (OlympusError, OSError) as error:
            # Nobody waits for this one, so that it must be loud; the guardian has its own cords.
            _log.critical("ROS %s did not reach the guardian: %s", self._name, error)
            self._one.tallies.refuse(self._name, error)
            return None
        finally:
            self._busy.release()

    async def _on_call(self, _request: Any) -> Any:
        outcome = await asyncio.wait_for(asyncio.to_thread(self._stop_patiently), _PATIENCE_S)
        return self._one.new(
            "std_srvs/srv/Trigger_Response",
            success=outcome.is_confirmed,
            message=f"{outcome.result}: {outcome.text}",
        )

    def _stop_patiently(self) -> Outcome:
        with self._busy:
            self.count += 1
            return self._client.stop(f"ROS {self._name}", by="ROS")
