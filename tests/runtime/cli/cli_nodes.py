"""Two small nodes for the command line to look at."""

from __future__ import annotations

from pydantic import Field

from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import Ack, Command, Message, MissionState, Reading, message
from olympus.runtime.node import Node, NodeParams, output, service, subscribe, timer
from olympus.runtime.qos import QoS


@message("cli/Oddity")
class Oddity(Message):
    """A message type that only this module knows."""

    is_odd: bool


class Counter(Node):
    """Counts, twenty times a second."""

    class Params(NodeParams):
        """What it counts by."""

        step: int = Field(1, ge=1, le=10, description="How far each count goes.")

    params: Params
    readings = output("count", Reading)
    oddity = output("oddity", Oddity)

    async def on_configure(self) -> None:
        """Start at zero."""
        self._count = 0

    @timer(0.05)
    def on_timer(self) -> None:
        """Count once."""
        self._count += self.params.step
        self.readings.publish(
            Reading(name="count", value=float(self._count), unit="1", valid=True, device="none")
        )
        self.oddity.publish(Oddity(is_odd=self._count % 2 == 1))

    @service("parity")
    def on_parity(self, reading: Reading) -> Oddity:
        """Tell whether a number is odd."""
        return Oddity(is_odd=reading.value % 2 == 1)


class Mission(Node):
    """Takes commands and says what it makes of them."""

    mission = output("mission", MissionState, latched=True, is_reliable=True)

    @subscribe("command", qos=QoS.queue(10))
    def on_command(self, command: Command) -> None:
        """Say what it does now."""
        self.mission.publish(MissionState(mission=command.text, state="driving"), cause=command)

    @service("say")
    def on_say(self, command: Command) -> Ack:
        """Understand one sentence, and no other."""
        if command.text == "patrol the corridor":
            return Ack(ok=True, text="patrolling the corridor")
        return Ack(ok=False, text=f"not understood: {command.text}")


class Picky(Node):
    """Can't stand every tenth count."""

    @subscribe("count", qos=QoS.lossless())
    def on_count(self, reading: Reading) -> None:
        """Refuse what is not wanted.

        Raises:
            ConfigError: It is a tenth.
        """
        if reading.header.seq % 10 == 0:
            raise ConfigError(f"{reading.value:g} is a tenth")
