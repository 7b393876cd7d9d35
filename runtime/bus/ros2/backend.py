"""What carries CDR bytes to and from a ROS 2 graph: the seam behind which both backends stand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from olympus.runtime.bus.link import Closable, Payload
from olympus.runtime.bus.ros2.qos import RosQos
from olympus.runtime.bus.ros2.wire import RosEntity


class Arrival(NamedTuple):
    """How a message came; a tuple, since each message makes one."""

    gid: bytes
    """Which publisher sent it; empty when the middleware does not say."""
    seq: int
    """Its place in that publisher's row, from 1; 0 when the middleware does not count."""
    stamp_ns: int
    """When it was sent, Unix time; 0 when the middleware does not say."""
    is_own: bool = False
    """Whether a publisher of this very session sent it."""


Deliver = Callable[[Payload, Arrival], None]
"""Called from any thread; must return within microseconds."""
Reply = Callable[["bytes | str"], None]
"""Takes the response, or the reason why there is none; from any thread, once."""
Answer = Callable[[bytes, Reply], None]
"""Called from any thread with a request; replies now or later."""


class RawPublisher(Closable, Protocol):
    """The sending end of a ROS topic."""

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens; True where that isn't known."""

    def put(self, cdr: bytes) -> None:
        """Send one message.

        Raises:
            BusError: It is closed.
        """


class RawClient(Closable, Protocol):
    """The asking end of a ROS service."""

    @property
    def is_ready(self) -> bool:
        """Whether somebody serves it."""

    def call(self, cdr: bytes, reply: Reply, timeout_s: float | None) -> None:
        """Send a request; `reply` is called once, from any thread. None waits without end."""


@dataclass(frozen=True, slots=True)
class NodeId:
    """A node as a backend knows it."""

    number: int
    namespace: str
    name: str


class Backend(Protocol):
    """One participant of a ROS 2 graph."""

    distro: str
    takes_several_types: bool
    """Whether one topic may be subscribed with different types."""
    knows_own: bool
    """Whether `Arrival.is_own` is known; if not, own messages come back like all others."""

    def open_node(self, namespace: str, name: str) -> NodeId:
        """Make a node visible."""

    def close_node(self, node: NodeId) -> None:
        """Take it back; its ends are closed by who opened them."""

    def advertise(self, node: NodeId, topic: str, type_: str, qos: RosQos) -> RawPublisher:
        """Open the sending end of a topic."""

    def subscribe(
        self, node: NodeId, topic: str, type_: str, qos: RosQos, deliver: Deliver
    ) -> Closable:
        """Open the receiving end of a topic."""

    def serve(self, node: NodeId, name: str, type_: str, answer: Answer) -> Closable:
        """Answer a service."""

    def client(self, node: NodeId, name: str, type_: str) -> RawClient:
        """Open the asking end of a service."""

    def entities(self) -> list[RosEntity]:
        """Return every node and end in the graph that is known by now."""

    def close(self) -> None:
        """Leave the graph."""
