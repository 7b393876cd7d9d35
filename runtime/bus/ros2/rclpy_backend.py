"""The backend over rclpy: whatever middleware and distribution the robot runs.

Messages go in and out as ready-made CDR, so large arrays never pass rclpy's field setters. It has a
context and an executor thread of its own; callbacks there only hand over.

Source: written against rclpy's documented API, Humble to Rolling.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
from functools import partial
from typing import Any

from olympus.runtime.bus.link import Closable
from olympus.runtime.bus.ros2.backend import Answer, Arrival, Deliver, NodeId, Reply
from olympus.runtime.bus.ros2.qos import SERVICES, Durability, History, Reliability, RosQos
from olympus.runtime.bus.ros2.wire import RosEntity
from olympus.runtime.errors import BusError

_ACTION_PARTS = {
    "_SendGoal": "SendGoalService",
    "_GetResult": "GetResultService",
    "_FeedbackMessage": "FeedbackMessage",
}


class RclpyBackend:
    """One participant of a ROS 2 graph, through the ROS that is installed."""

    takes_several_types = False

    def __init__(self, *, domain: int = 0, distro: str = "jazzy") -> None:
        """Start rclpy in a context of its own.

        Raises:
            BusError: rclpy can't be imported or started.
        """
        self.distro, self._domain = distro, domain
        self._rclpy = _needed("rclpy")
        self._context = _needed("rclpy.context").Context()
        try:
            self._rclpy.init(context=self._context, domain_id=domain)
            self._executor = _executor_class()(context=self._context)
        except Exception as error:
            raise BusError(f"rclpy can't be started: {error}") from error
        self._nodes: dict[int, Any] = {}
        self._thread = threading.Thread(target=self._spin, name="rclpy", daemon=True)
        self._thread.start()

    def open_node(self, namespace: str, name: str) -> NodeId:
        """Make a node visible."""
        node = _needed("rclpy.node").Node(
            name,
            namespace=namespace,
            context=self._context,
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

    def advertise(self, node: NodeId, topic: str, type_: str, qos: RosQos) -> _Publisher:
        """Open the sending end of a topic."""
        owner = self._nodes[node.number]
        publisher = owner.create_publisher(_class_of(type_), topic, _profile(qos))
        return _Publisher(owner, publisher, topic, is_latched=qos.is_latched)

    def subscribe(
        self, node: NodeId, topic: str, type_: str, qos: RosQos, deliver: Deliver
    ) -> Closable:
        """Open the receiving end of a topic."""
        owner = self._nodes[node.number]

        def on_message(raw: bytes, info: Any) -> None:
            known = info if isinstance(info, dict) else {}
            # rclpy does not say who sent it, so the rows of several publishers can't be told apart.
            deliver(_Bytes(raw), Arrival(b"", 0, known.get("source_timestamp") or 0))

        made = owner.create_subscription(
            _class_of(type_), topic, on_message, _profile(qos), raw=True
        )
        return _End(partial(owner.destroy_subscription, made))

    def serve(self, node: NodeId, name: str, type_: str, answer: Answer) -> Closable:
        """Answer a service; while the answer is being made, the executor goes on."""
        owner, kind = self._nodes[node.number], _class_of(type_)
        to_cdr, from_cdr = self._serializers()
        future_class = _needed("rclpy.task").Future

        async def on_request(request: Any, response: Any) -> Any:
            future = future_class(executor=self._executor)

            def reply(result: bytes | str) -> None:
                future.set_result(result)
                self._executor.wake()

            answer(to_cdr(request), reply)
            result = await future
            if isinstance(result, str):
                owner.get_logger().error(f"{name}: {result}")
                return response  # ROS has no word for a failure: what is not filled in says it
            return from_cdr(result, kind.Response)

        made = owner.create_service(kind, name, on_request, qos_profile=_profile(SERVICES))
        return _End(partial(owner.destroy_service, made))

    def client(self, node: NodeId, name: str, type_: str) -> _Client:
        """Open the asking end of a service."""
        owner, kind = self._nodes[node.number], _class_of(type_)
        made = owner.create_client(kind, name, qos_profile=_profile(SERVICES))
        return _Client(owner, made, kind, self._serializers())

    def entities(self) -> list[RosEntity]:
        """Return every node and end in the graph that is known by now."""
        if not self._nodes:
            return []
        owner = next(iter(self._nodes.values()))
        found = []
        for name, namespace in owner.get_node_names_and_namespaces():
            found.append(self._entity("NN", name, namespace))
            for service, types in owner.get_service_names_and_types_by_node(name, namespace):
                found += [self._entity("SS", name, namespace, service, one) for one in types]
        for topic, _ in owner.get_topic_names_and_types():
            for kind, ends in (
                ("MP", owner.get_publishers_info_by_topic(topic)),
                ("MS", owner.get_subscriptions_info_by_topic(topic)),
            ):
                found += [
                    self._entity(kind, end.node_name, end.node_namespace, topic, end.topic_type)
                    for end in ends
                ]
        return found

    def close(self) -> None:
        """Leave the graph; again is harmless."""
        if self._context.ok():
            self._executor.shutdown(timeout_sec=1.0)
            for node in list(self._nodes.values()):
                node.destroy_node()
            self._nodes.clear()
            self._rclpy.shutdown(context=self._context)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=2.0)

    def _spin(self) -> None:
        # Its end is asked for by `close`, while it waits; some versions raise then.
        with contextlib.suppress(Exception):
            self._executor.spin()

    def _entity(
        self, kind: str, node: str, namespace: str, topic: str = "", type_: str = ""
    ) -> RosEntity:
        return RosEntity(
            kind=kind,
            domain=self._domain,
            session="",
            node_id=0,
            entity_id=0,
            namespace=namespace,
            node=node,
            topic=topic,
            type=type_,
        )

    def _serializers(self) -> tuple[Any, Any]:
        module = _needed("rclpy.serialization")
        return module.serialize_message, module.deserialize_message


class _Publisher:
    """The sending end of one topic."""

    def __init__(self, node: Any, publisher: Any, topic: str, *, is_latched: bool) -> None:
        self._node, self._publisher, self._topic = node, publisher, topic
        self._is_latched = is_latched

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens; a latched topic keeps its last messages for who comes later."""
        return self._is_latched or self._publisher.get_subscription_count() > 0

    def put(self, cdr: bytes) -> None:
        """Send one message.

        Raises:
            BusError: It is closed.
        """
        if self._publisher is None:
            raise BusError(f"{self._topic} can't be sent: its publisher is closed")
        self._publisher.publish(cdr)

    def close(self) -> None:
        """Take it back; again is harmless."""
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
            self._publisher = None


class _Client:
    """The asking end of one service."""

    def __init__(self, node: Any, client: Any, kind: Any, serializers: tuple[Any, Any]) -> None:
        self._node, self._client, self._kind = node, client, kind
        self._to_cdr, self._from_cdr = serializers

    @property
    def is_ready(self) -> bool:
        """Whether somebody serves it."""
        return bool(self._client.service_is_ready())

    def call(self, cdr: bytes, reply: Reply, timeout_s: float | None) -> None:
        """Send a request; how long to wait is up to who asks."""
        future = self._client.call_async(self._from_cdr(cdr, self._kind.Request))

        def on_done(done: Any) -> None:
            error = done.exception()
            reply(str(error) if error is not None else self._to_cdr(done.result()))

        future.add_done_callback(on_done)

    def close(self) -> None:
        """Take it back; again is harmless."""
        if self._client is not None:
            self._node.destroy_client(self._client)
            self._client = None


class _End:
    """Something to take back once."""

    def __init__(self, take_back: Any) -> None:
        self._take_back = take_back

    def close(self) -> None:
        """Take it back; again is harmless."""
        take_back, self._take_back = self._take_back, None
        if take_back is not None:
            take_back()


class _Bytes:
    """CDR that is in memory already."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def to_bytes(self) -> bytes:
        """Return it."""
        return bytes(self._raw)


def _needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise BusError(
            f"backend rclpy: {error}; source your ROS 2 (`. /opt/ros/jazzy/setup.sh`) before "
            "starting, or choose `backend: zenoh`, which needs no ROS"
        ) from error


def _executor_class() -> Any:
    """Return the executor that costs least: the one that is driven by events, where it is there."""
    with contextlib.suppress(ImportError, AttributeError):
        return importlib.import_module("rclpy.experimental").EventsExecutor
    return _needed("rclpy.executors").SingleThreadedExecutor


def _class_of(type_: str) -> Any:
    package, kind, title = type_.split("/")
    inner = ""
    for suffix, name in _ACTION_PARTS.items():
        if kind == "action" and title.endswith(suffix):
            title, inner = title.removesuffix(suffix), name
    try:
        found = getattr(importlib.import_module(f"{package}.{kind}"), title)
        return getattr(found.Impl, inner) if inner else found
    except (ImportError, AttributeError) as error:
        raise BusError(
            f"the installed ROS has no {type_}: {error}; build and source its package"
            + (" (runtime/bus/ros2/olympus_msgs)" if package == "olympus_msgs" else "")
        ) from error


def _profile(qos: RosQos) -> Any:
    module = _needed("rclpy.qos")
    reliable = qos.reliability is Reliability.RELIABLE
    latched = qos.durability is Durability.TRANSIENT_LOCAL
    keeps_all = qos.history is History.KEEP_ALL
    return module.QoSProfile(
        depth=qos.depth,
        reliability=getattr(module.ReliabilityPolicy, "RELIABLE" if reliable else "BEST_EFFORT"),
        durability=getattr(module.DurabilityPolicy, "TRANSIENT_LOCAL" if latched else "VOLATILE"),
        history=getattr(module.HistoryPolicy, "KEEP_ALL" if keeps_all else "KEEP_LAST"),
    )
