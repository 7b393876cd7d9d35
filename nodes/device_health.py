"""What a node says about its device: changes at once, figures once a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from olympus.drivers.device_loop import DeviceState
from olympus.runtime.clock import NS_PER_S, Clock
from olympus.runtime.messages import Diagnostic
from olympus.runtime.telemetry.logs import StructuredLog


@dataclass(slots=True)
class DeviceHealth:
    """Keeps the state of a device, logs when it changes, and makes its diagnostics."""

    part: str
    """Which part of the node, such as `camera/device`."""
    log: StructuredLog
    clock: Clock
    publish: Callable[[Diagnostic], object]
    state: DeviceState = DeviceState.STALE
    text: str = "not opened yet"
    is_known: bool = False
    """Whether the device has said anything yet."""
    values: Mapping[str, str] = field(default_factory=dict)
    _counted: int = 0
    _since_ns: int = 0

    def change(self, state: DeviceState, text: str) -> None:
        """Note what the device says; a new state is logged once, tries that fail alike are not."""
        if state is not self.state or not self.is_known:
            say = self.log.info if state is DeviceState.OK else self.log.warning
            say(f"{self.part}: {text}", state=str(state))
        self.state, self.text, self.is_known = state, text, True
        self.publish(self.diagnostic())

    def rate_hz(self, count: int) -> float:
        """Return items per second since the last call, given how many there were in all."""
        now_ns = self.clock.now_ns()
        seconds = (now_ns - self._since_ns) / NS_PER_S
        rate_hz = (count - self._counted) / seconds if self._since_ns and seconds > 0 else 0.0
        self._counted, self._since_ns = count, now_ns
        return rate_hz

    def report(self, values: Mapping[str, str]) -> None:
        """Publish the state with new figures."""
        self.values = values
        self.publish(self.diagnostic())

    def diagnostic(self) -> Diagnostic:
        """Return the state and the newest figures."""
        return Diagnostic(
            level=str(self.state), name=self.part, text=self.text, values=dict(self.values)
        )
