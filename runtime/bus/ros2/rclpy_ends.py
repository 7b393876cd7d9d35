"""The ends of topics and services over rclpy."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any

from olympus.runtime.bus.ros2.backend import Answer, Reply
from olympus.runtime.bus.ros2.rclpy_types import needed
from olympus.runtime.errors import BusError

_log = logging.getLogger(__name__)
FAULTS = (RuntimeError, TypeError)
"""What rclpy raises: RCLError and InvalidHandle are RuntimeErrors, a wrong class is a TypeError."""
SETTLED_S = 0.3


class RclpyPublisher:
    """The sending end of one topic."""

    def __init__(self, node: Any, publisher: Any, topic: str, *, is_latched: bool) -> None:
        self._node, self._publisher, self._topic = node, publisher, topic
        self._is_latched = is_latched

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens; a latched topic keeps its last messages for who comes later."""
        publisher = self._publisher
        if publisher is None:
            return False
        return self._is_latched or publisher.get_subscription_count() > 0

    def put(self, cdr: bytes) -> None:
        """Send one message.

        Raises:
            BusError: It is closed, or the middleware refuses.
        """
        publisher = self._publisher
        if publisher is None:
            raise BusError(f"{self._topic} can't be sent: its publisher is closed")
        try:
            publisher.publish(cdr)
        except FAULTS as error:
            raise BusError(f"{self._topic} can't be sent: {error}") from error

    def close(self) -> None:
        """Take it back; again is harmless."""
        publisher, self._publisher = self._publisher, None
        if publisher is not None:
            self._node.destroy_publisher(publisher)


class RclpyClient:
    """The asking end of one service."""

    def __init__(self, node: Any, client: Any, kind: Any) -> None:
        self._node, self._client, self._kind = node, client, kind
        module = needed("rclpy.serialization")
        self._to_cdr, self._from_cdr = module.serialize_message, module.deserialize_message
        self._waiting: list[tuple[float, Any]] = []
        self._served_since = math.inf

    @property
    def is_ready(self) -> bool:
        """Whether somebody serves it, and has for long enough to know of us.

        Over DDS a server is seen before it sees its client; what it answers meanwhile is lost.
        """
        client = self._client
        if client is None or not client.service_is_ready():
            self._served_since = math.inf
            return False
        now = time.monotonic()
        self._served_since = min(self._served_since, now)
        return now - self._served_since >= SETTLED_S

    def call(self, cdr: bytes, reply: Reply, timeout_s: float | None) -> None:
        """Send a request; whose time is up is forgotten with the next, who asks gave up before."""
        client = self._client
        if client is None:
            reply("the client is closed")
            return
        now = time.monotonic()
        for deadline, future in self._waiting:
            if deadline < now and not future.done():
                client.remove_pending_request(future)
        self._waiting = [one for one in self._waiting if one[0] >= now and not one[1].done()]

        def on_done(done: Any) -> None:
            try:
                reply(self._to_cdr(done.result()))
            except FAULTS as error:
                reply(str(error))

        try:
            future = client.call_async(self._from_cdr(cdr, self._kind.Request))
        except FAULTS as error:
            reply(f"the request can't be sent: {error}")
            return
        future.add_done_callback(on_done)
        if timeout_s is not None:
            self._waiting.append((now + timeout_s, future))

    def close(self) -> None:
        """Take it back; again is harmless."""
        client, self._client = self._client, None
        if client is not None:
            self._node.destroy_client(client)


def serve_later(made: Any, kind: Any, name: str, answer: Answer) -> None:
    """Let a service of rclpy answer when its answer is there, without holding up its executor.

    An executor calls the service's callback, which here only hands the request on, and then
    `send_response` with what that returned: that is when the request and its header are known. A
    coroutine as callback would do too, but an executor runs it again and again while it waits.
    """
    module = needed("rclpy.serialization")
    send = made.send_response

    def send_later(request: Any, header: Any) -> None:
        def reply(result: bytes | str) -> None:
            # ROS has no word for a failure: what is not filled in says it.
            is_failure = isinstance(result, str)
            if is_failure:
                _log.warning("ROS service %s: %s", name, result)
            try:
                response = (
                    kind.Response()
                    if is_failure
                    else module.deserialize_message(result, kind.Response)
                )
                send(response, header)
            except FAULTS as error:
                _log.warning("ROS service %s can't answer: %s", name, error)

        answer(module.serialize_message(request), reply)

    made.send_response = send_later


class RclpyEnd:
    """Something to take back once."""

    def __init__(self, take_back: Callable[[], object]) -> None:
        self._take_back: Callable[[], object] | None = take_back

    def close(self) -> None:
        """Take it back; again is harmless."""
        take_back, self._take_back = self._take_back, None
        if take_back is not None:
            take_back()


class Bytes:
    """CDR that is in memory already."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def to_bytes(self) -> bytes:
        """Return it."""
        return self._raw
