"""A node that listens to types it knows nothing of: here stands no module that defines them."""

from __future__ import annotations

from olympus.runtime.messages import Message
from olympus.runtime.node import Node, subscribe
from olympus.runtime.qos import QoS


class Stranger(Node):
    """Takes whatever comes, as far as it can be read."""

    @subscribe("oddity", qos=QoS.lossless())
    def on_oddity(self, message: Message) -> None:
        """Do nothing with it."""
