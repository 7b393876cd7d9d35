"""Carries stops from other machines to the guardian, sealed: this node can't read or make one.

Whoever may stop from afar puts a sealed order as `Text` on the topic `safety/sealed`; over Zenoh
that is any machine that reaches the session (`bus: {listen: …}`). The guardian alone opens it, with
the key in `safety.keys_file`. Make an order with `olympus.runtime.safety.seal.seal`.
"""

from __future__ import annotations

# varies throughout: this speaks to the guardian, and nothing hears it
import asyncio

from olympus.runtime.errors import ConfigError, SafetyError
from olympus.runtime.messages import Ack, Text
from olympus.runtime.node import Node, NodeParams, output, subscribe
from olympus.runtime.qos import QoS
from olympus.runtime.safety.client import SafetyClient


class RemoteStop(Node):
    """Hands sealed orders over, and tells what became of them."""

    class Params(NodeParams):
        """It has none."""

    is_replayed = False

    params: Params
    answer = output("/safety/sealed_answer", Ack)

    async def on_configure(self) -> None:
        """Find the guardian.

        Raises:
            ConfigError: There is no session.
        """
        if self.session is None:
            raise ConfigError(f"{self.name}: runs only within a session, with a guardian")
        self._client = SafetyClient(self.session.safety_dir)

    @subscribe("/safety/sealed", qos=QoS.queue(16))
    async def on_order(self, order: Text) -> None:
        """Hand an order to the guardian."""
        try:
            refusal = await asyncio.to_thread(self._client.deliver, order.text)
        except SafetyError as error:
            refusal = str(error)
        if refusal:
            self.log.warning(f"a sealed stop was refused: {refusal}")
        self.answer.publish(Ack(ok=not refusal, text=refusal))
