"""The backend over rclpy: whatever middleware and distribution the robot runs.

Messages go in and out as ready-made CDR, so large arrays never pass rclpy's field setters. It has a
context and an executor thread of its own; callbacks there only hand over.

The executor is the single-threaded one. rclpy's EventsExecutor would cost less, but (Jazzy 7.1.6,
Kilted 9.1.2) it locks up when another thread publishes or adds a node, and awaits no service.

Source: rclpy's documented API; run against Jazzy and Kilted, see docs/ros2.md.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from olympus.runtime.bus.link import Closable
from olympus.runtime.bus.ros2.backend import Answer, Arrival, Deliver, NodeId
from olympus.runtime.bus.ros2.catalogue import Catalogue
from olympus.runtime.bus.ros2.qos import SERVICES, RosQos
from olympus.runtime.bus.ros2.rclpy_ends import (
    FAULTS,
    Bytes,
    RclpyClient,
    RclpyEnd,
    RclpyPublisher,
    serve_later,
)
from olympus.runtime.bus.ros2.rclpy_types import InstalledTypes, as_profile, from_profile, needed
from olympus.runtime.bus.ros2.wire import RosEntity
from olympus.runtime.errors import BusError

_SERVICES = replace(SERVICES, depth=1000)
"""Over DDS what is beyond the depth is lost, and ROS's own 10 are soon asked at once."""
_AGAIN_S = 0.01
_JOIN_S = 5.0
_log = logging.getLogger(__name__)


class RclpyBackend:
    """One participant of a ROS 2 graph, through the ROS that is installed."""

    takes_several_types = False
    knows_own = False

    def __init__(self, catalogue: Catalogue, *, domain: int = 0, distro: str = "jazzy") -> None:
        """Start rclpy in a context of its own.

        Args:
            catalogue: Definitions, with which the installed ones are compared.
            domain: ROS_DOMAIN_ID.
            distro: Whose definitions the catalogue has.

        Raises:
            BusError: rclpy can't be imported or started.
        """
        self.distro, self._domain = distro, domain
        self._types = InstalledTypes(catalogue, distro)
        self._rclpy = needed("rclpy")
        self._context = needed("rclpy.context").Context()
        executors = needed("rclpy.executors")
        try:
            # No words of this process's own command line: they were for the launch.
            self._rclpy.init(args=[], context=self._context, domain_id=domain)
            self._executor = executors.SingleThreadedExecutor(context=self._context)
        except FAULTS as error:
            raise BusError(f"rclpy can't be started: {error}") from error
        self._ends = (executors.ExternalShutdownException, executors.ShutdownException)
        self._nodes: dict[int, Any] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="rclpy", daemon=True)
        self._thread.start()

    def open_node(self, namespace: str, name: str) -> NodeId:
        """Make a node visible.

        Raises:
            BusError: rclpy refuses.
        """
        with _refusals(f"node {name}"):
            node = needed("rclpy.node").Node(
                name,
                namespace=namespace,
                context=self._context,
                use_global_arguments=False,
                enable_rosout=False,
                start_parameter_services=False,
            )
        made = NodeId(id(node), namespace, name)
        self._nodes[made.number] = node
        self._executor.add_node(node)
        return made

    def close_node(self, node: NodeId) -> None:
        """Take a node back; again is harmless."""
        found = self._nodes.pop(node.number, None)
        if found is not None:
            self._executor.remove_node(found)
            found.destroy_node()

    def advertise(self, node: NodeId, topic: str, type_: str, qos: RosQos) -> RclpyPublisher:
        """Open the sending end of a topic.

        Raises:
            BusError: The installed ROS has no such type, or rclpy refuses.
        """
        owner, cls = self._nodes[node.number], self._types.get(type_)
        with _refusals(topic):
            made = owner.create_publisher(cls, topic, as_profile(qos))
        return RclpyPublisher(owner, made, topic, is_latched=qos.is_latched)

    def subscribe(
        self, node: NodeId, topic: str, type_: str, qos: RosQos, deliver: Deliver
    ) -> Closable:
        """Open the receiving end of a topic.

        Raises:
            BusError: The installed ROS has no such type, or rclpy refuses.
        """
        owner, cls = self._nodes[node.number], self._types.get(type_)

        def on_message(raw: bytes, info: Any) -> None:
            # rclpy does not say who sent it, so the rows of several publishers can't be told apart.
            deliver(Bytes(raw), Arrival(b"", 0, info.get("source_timestamp") or 0))

        with _refusals(topic):
            made = owner.create_subscription(cls, topic, on_message, as_profile(qos), raw=True)
        return RclpyEnd(partial(owner.destroy_subscription, made))

    def serve(self, node: NodeId, name: str, type_: str, answer: Answer) -> Closable:
        """Answer a service; while the answer is being made, the executor goes on.

        Raises:
            BusError: The installed ROS has no such type, or rclpy refuses.
        """
        owner, kind = self._nodes[node.number], self._types.get(type_)
        with _refusals(name):
            made = owner.create_service(
                kind, name, lambda request, _response: request, qos_profile=as_profile(_SERVICES)
            )
        serve_later(made, kind, name, answer)
        return RclpyEnd(partial(owner.destroy_service, made))

    def client(self, node: NodeId, name: str, type_: str) -> RclpyClient:
        """Open the asking end of a service.

        Raises:
            BusError: The installed ROS has no such type, or rclpy refuses.
        """
        owner, kind = self._nodes[node.number], self._types.get(type_)
        with _refusals(name):
            made = owner.create_client(kind, name, qos_profile=as_profile(_SERVICES))
        return RclpyClient(owner, made, kind)

    def entities(self) -> list[RosEntity]:
        """Return every node and end in the graph that is known by now."""
        if not self._nodes:  # somebody has to look; a name that begins with `_` is not listed
            self.open_node("/", f"_olympus_{os.getpid()}")
        owner = next(iter(self._nodes.values()))
        found = []
        for name, namespace in owner.get_node_names_and_namespaces():
            if not name.startswith("_"):
                found += self._of_node(owner, name, namespace)
        for topic, _ in owner.get_topic_names_and_types():
            for kind, ends in (
                ("MP", owner.get_publishers_info_by_topic(topic)),
                ("MS", owner.get_subscriptions_info_by_topic(topic)),
            ):
                found += [self._end(kind, topic, end) for end in ends]
        return found

    def close(self) -> None:
        """Leave the graph; again is harmless."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._executor.shutdown(timeout_sec=1.0)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=_JOIN_S)
        for node in list(self._nodes.values()):
            node.destroy_node()
        self._nodes.clear()
        self._rclpy.shutdown(context=self._context)

    def _spin(self) -> None:
        while not self._closing.is_set():
            try:
                self._executor.spin()
            except self._ends:
                return
            except FAULTS:
                # Such as an end that was taken back while it was waited for; the rest goes on.
                if not self._closing.is_set():
                    _log.exception("rclpy's executor failed; it goes on")
            self._closing.wait(_AGAIN_S)

    def _of_node(self, owner: Any, name: str, namespace: str) -> list[RosEntity]:
        made = [self._entity("NN", name, namespace)]
        try:
            served = owner.get_service_names_and_types_by_node(name, namespace)
            asked = owner.get_client_names_and_types_by_node(name, namespace)
        except RuntimeError:  # it left the graph between two questions
            return []
        for kind, pairs in (("SS", served), ("SC", asked)):
            made += [
                self._entity(kind, name, namespace, topic=service, type=one)
                for service, types in pairs
                for one in types
            ]
        return made

    def _end(self, kind: str, topic: str, end: Any) -> RosEntity:
        hash_ = getattr(end, "topic_type_hash", None)  # since Jazzy
        return self._entity(
            kind,
            end.node_name,
            end.node_namespace,
            topic=topic,
            type=end.topic_type,
            hash=str(hash_) if hash_ is not None else "",
            qos=from_profile(end.qos_profile),
        )

    def _entity(self, kind: str, node: str, namespace: str, **more: Any) -> RosEntity:
        return RosEntity(
            kind=kind,
            domain=self._domain,
            session="",
            node_id=0,
            entity_id=0,
            namespace=namespace,
            node=node,
            **more,
        )


@contextlib.contextmanager
def _refusals(what: str) -> Iterator[None]:
    """Turn what rclpy raises into the error of a bus.

    Raises:
        BusError: rclpy refused.
    """
    try:
        yield
    except FAULTS as error:
        raise BusError(f"rclpy refuses {what}: {error}") from error
