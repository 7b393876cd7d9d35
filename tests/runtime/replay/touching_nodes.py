"""A module that greets a serial port while it is imported, in a way that no source tells."""

from __future__ import annotations

import os
from pathlib import Path

from olympus.runtime.messages import Text
from olympus.runtime.node import Node, output, timer

PORT = getattr(os, "op" + "en")(
    Path(__file__).with_name("port").read_text(), os.O_RDWR | os.O_NOCTTY
)
os.write(PORT, b"hello\n")


class Beacon(Node):
    """Knows nothing of the port."""

    scan = output("scan", Text)

    @timer(0.05)
    def on_tick(self) -> None:
        self.scan.publish(Text(text="here"))
