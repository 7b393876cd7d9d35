"""The node behind the bridge in the ROS 2 benchmark."""

from __future__ import annotations

from olympus.runtime.messages import Text
from olympus.runtime.node import Node, output, subscribe
from olympus.runtime.qos import QoS


class Echo(Node):
    """Answers each text with itself."""

    pong = output("pong", Text)

    @subscribe("ping", qos=QoS.queue(100))
    def on_ping(self, text: Text) -> None:
        """Send it back."""
        self.pong.publish(Text(text=text.text))
