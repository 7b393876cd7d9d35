"""One end of a wire, and whoever is at the other one; no loop, no host."""

from __future__ import annotations

import socket
import threading
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from olympus.runtime.bus.ipc.frames import Channel, Frame, Lent
from olympus.runtime.bus.ipc.intake import make_intake
from olympus.runtime.bus.ipc.records import HEAD
from olympus.runtime.bus.ipc.wire import make_wire
from olympus.runtime.bus.letters import DeadLetters
from olympus.runtime.bus.options import SubscriptionOptions
from olympus.runtime.bus.subscription import Handler, Subscription
from olympus.runtime.clock import SystemClock
from olympus.runtime.messages import Message, schema_by_class
from olympus.runtime.qos import QoS


class End:
    """Keeps what a wire leaves to Python."""

    def __init__(self) -> None:
        kinds = socket.AF_UNIX, socket.SOCK_SEQPACKET
        self.data, self.far = socket.socketpair(*kinds)
        for end in (self.data, self.far):
            end.setblocking(False)
        self.cells, self.theirs = (memoryview(bytearray(64)).cast("Q") for _ in range(2))
        self.channels: dict[int, Channel] = {}
        self.pools: dict[int, Lent] = {}
        self.readers = 1
        self.records: list[bytes] = []
        self.calls: list[Any] = []
        self.batches = self.closes = 0
        self.touched: dict[int, Any] = {1: None}
        """While there is something in it, `on_batch` is called."""
        self.error: BaseException | None = None
        """Raised for the next record."""
        self.wire: Any = make_wire(
            self, self.data, self.cells, threading.Lock(), make_intake(self, self)
        )
        self.wire.meet(self.theirs)
        self.sent = 0

    def listen(
        self, cls: type[Message], handler: Handler[Any], qos: QoS, first: list[Any]
    ) -> Subscription[Any]:
        """Have channel 1 carry messages of a class to a handler; in an event loop.

        Python has seen the first one, of which the handler does not hear: those from number 2 on
        are the next ones of their row.
        """
        schema, clock = schema_by_class(cls), SystemClock()
        handlers: list[Handler[Any]] = [lambda _: None]
        channel = Channel("r", (schema.name, schema.version, schema.hash), "n", 1)
        made = Subscription(
            "r", cls, lambda came: handlers[-1](came),
            clock=clock, options=SubscriptionOptions(qos=qos), letters=DeadLetters(clock),
        )  # fmt: skip
        channel.targets = [made]
        self.channels[1] = channel
        came = record(1, first)
        made.arrive(Frame(channel, HEAD.unpack_from(came), came, ()), later=False)
        handlers.append(handler)
        return made

    def send(self, *records: bytes, ahead: int = 0) -> None:
        """Send as the other side does, which says first how many there are."""
        self.sent += len(records)
        self.theirs[0] = self.sent + ahead
        for record in records:
            self.far.send(record)

    def on_record(self, record: bytes | memoryview, later: bool) -> None:
        """Keep it."""
        if self.error is not None:
            raise self.error
        self.records.append(bytes(record))

    def on_claimed(self, record: bytes, base: NDArray[np.uint8], later: bool) -> None:
        """Keep it."""
        self.records.append(record)

    def on_call(self, pair: Any, *what: Any) -> None:
        """Keep what is read already: kind, number, channel, message."""
        assert pair is self
        if self.error is not None:
            raise self.error
        self.calls.append(what)

    def on_many(self, packet: bytes) -> int:
        """Keep it."""
        self.records.append(packet)
        return 1

    def on_batch(self) -> None:
        """Count it."""
        self.batches += 1

    def on_error(self, number: int) -> bool:
        """End it."""
        return False

    def close(self) -> None:
        """End it."""
        self.closes += 1
        self.wire.close()

    def note_end(self) -> None:
        """End it."""
        self.closes += 1

    def end(self) -> None:
        """Close the sockets too."""
        self.wire.close()
        self.data.close()
        self.far.close()


def record(seq: int, fields: list[Any], channel: int = 1) -> bytes:
    """Return a record that is as it should be."""
    body: bytes = msgpack.packb(fields)
    return HEAD.pack(0, 2, 0, channel, seq, 1, 0, 1, 0, len(body)) + body
