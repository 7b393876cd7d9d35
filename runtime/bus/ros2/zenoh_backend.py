"""The backend that speaks rmw_zenoh's wire: a ROS 2 participant without ROS."""

from __future__ import annotations

import itertools
import time
from functools import partial
from typing import Any

import zenoh
import zenoh.ext
from zenoh.handlers import Callback

from olympus.runtime.bus.link import Closable
from olympus.runtime.bus.ros2.backend import Answer, Arrival, Deliver, NodeId, RawPublisher
from olympus.runtime.bus.ros2.catalogue import Catalogue
from olympus.runtime.bus.ros2.qos import SERVICES, Reliability, RosQos
from olympus.runtime.bus.ros2.rihs import type_hash
from olympus.runtime.bus.ros2.tallies import Tallies
from olympus.runtime.bus.ros2.wire import (
    BACKENDS,
    BUFFER_SUFFIX,
    NO_HASH,
    Attachment,
    RosEntity,
    entity_of,
    read_attachment,
)
from olympus.runtime.bus.ros2.zenoh_ends import Ends, Shown, ZenohClient, ZenohPublisher
from olympus.runtime.bus.zenoh_threads import keep_thread
from olympus.runtime.errors import MessageError

MOST_SEEN = 100_000
"""Nodes and ends of the graph that are remembered; a robot has some hundreds."""


class ZenohBackend:
    """One participant of a ROS 2 graph over Zenoh."""

    takes_several_types = True
    """A type is part of the key: a topic of another type is another key."""
    knows_own = True

    def __init__(
        self,
        session: zenoh.Session,
        catalogue: Catalogue,
        *,
        domain: int = 0,
        distro: str = "jazzy",
        tallies: Tallies | None = None,
    ) -> None:
        """Join the graph.

        Args:
            session: Of `open_ros_session`; closed with this backend.
            catalogue: Definitions, of which type hashes are made.
            domain: ROS_DOMAIN_ID.
            distro: Which distribution's keys and tokens to use.
            tallies: Where refusals are counted.
        """
        self.distro, self.domain = distro, domain
        self.tallies = tallies or Tallies()
        self._session, self._catalogue = session, catalogue
        self._zid = str(session.info.zid())
        self._numbers = itertools.count()
        self._tokens: dict[str, Any] = {}
        self._own: set[bytes] = set()
        self._seen: dict[str, RosEntity] = {}
        self._graph = session.liveliness().declare_subscriber(
            f"@ros2_lv/{domain}/**", Callback(self._on_token, indirect=False), history=True
        )

    def open_node(self, namespace: str, name: str) -> NodeId:
        """Make a node visible."""
        node = NodeId(next(self._numbers), namespace, name)
        self._show(self._entity("NN", node, entity_id=node.number))
        return node

    def close_node(self, node: NodeId) -> None:
        """Take a node back; again is harmless."""
        self._hide(self._entity("NN", node, entity_id=node.number))

    def advertise(self, node: NodeId, topic: str, type_: str, qos: RosQos) -> RawPublisher:
        """Open the sending end of a topic."""
        entity = self._end("MP", node, topic, type_, qos)
        settings: dict[str, Any] = {
            "congestion_control": (
                zenoh.CongestionControl.BLOCK if qos.is_blocking else zenoh.CongestionControl.DROP
            ),
            "reliability": (
                zenoh.Reliability.RELIABLE
                if qos.reliability is Reliability.RELIABLE
                else zenoh.Reliability.BEST_EFFORT
            ),
        }
        publisher: Any
        if qos.is_latched:
            publisher = zenoh.ext.declare_advanced_publisher(
                self._session,
                entity.key,
                cache=zenoh.ext.CacheConfig(max_samples=qos.depth),
                publisher_detection=True,
                sample_miss_detection=_heartbeat(qos),
                **settings,
            )
        else:
            publisher = self._session.declare_publisher(entity.key, **settings)
        self._own.add(entity.gid)
        return ZenohPublisher(entity, publisher, self._shown(entity))

    def subscribe(
        self, node: NodeId, topic: str, type_: str, qos: RosQos, deliver: Deliver
    ) -> Closable:
        """Open the receiving end of a topic."""
        entity = self._end("MS", node, topic, type_, qos)
        is_buffer = self._uses_buffers(type_) and not qos.is_latched
        if is_buffer:
            entity = self._end("MS", node, topic, type_, qos, backends=BACKENDS)
        on_sample = Callback(partial(self._on_sample, topic, deliver), indirect=False)
        ends: list[Any]
        if qos.is_latched:
            ends = [
                zenoh.ext.declare_advanced_subscriber(
                    self._session,
                    entity.key,
                    on_sample,
                    history=zenoh.ext.HistoryConfig(
                        detect_late_publishers=True, max_samples=qos.depth
                    ),
                    recovery=zenoh.ext.RecoveryConfig(periodic_queries=None, heartbeat=True),
                    subscriber_detection=True,
                )
            ]
        else:
            keys = [entity.key] + ([f"{entity.key}/{BUFFER_SUFFIX}"] if is_buffer else [])
            ends = [self._session.declare_subscriber(key, on_sample) for key in keys]
        return Ends(*ends, self._shown(entity))

    def serve(self, node: NodeId, name: str, type_: str, answer: Answer) -> Closable:
        """Answer a service."""
        entity = self._end("SS", node, name, type_, SERVICES)
        queryable = self._session.declare_queryable(
            entity.key,
            Callback(partial(self._on_query, name, answer), indirect=False),
            complete=True,
        )
        return Ends(queryable, self._shown(entity))

    def client(self, node: NodeId, name: str, type_: str) -> ZenohClient:
        """Open the asking end of a service."""
        entity = self._end("SC", node, name, type_, SERVICES)
        return ZenohClient(self._session, entity, self._shown(entity))

    def entities(self) -> list[RosEntity]:
        """Return every node and end in the graph that is known by now."""
        return sorted(self._seen.copy().values(), key=lambda one: one.token)

    def close(self) -> None:
        """Leave the graph; again is harmless."""
        if not self._session.is_closed():
            self._session.close()  # type: ignore[no-untyped-call]

    def _entity(self, kind: str, node: NodeId, *, entity_id: int) -> RosEntity:
        return RosEntity(
            kind=kind,
            domain=self.domain,
            session=self._zid,
            node_id=node.number,
            entity_id=entity_id,
            namespace=node.namespace,
            node=node.name,
        )

    def _end(
        self, kind: str, node: NodeId, topic: str, type_: str, qos: RosQos, backends: str = ""
    ) -> RosEntity:
        return RosEntity(
            kind=kind,
            domain=self.domain,
            session=self._zid,
            node_id=node.number,
            entity_id=next(self._numbers),
            namespace=node.namespace,
            node=node.name,
            topic=topic,
            type=type_,
            hash=NO_HASH if self.distro == "humble" else type_hash(self._catalogue, type_),
            qos=qos,
            backends=backends,
        )

    def _uses_buffers(self, type_: str) -> bool:
        if self.distro not in ("lyrical", "rolling"):
            return False
        kinds = [field.type for part in self._catalogue.parts(type_) for field in part.fields]
        return any(kind.base == "uint8" and kind.is_array and not kind.count for kind in kinds)

    def _show(self, entity: RosEntity) -> None:
        self._tokens[entity.token] = self._session.liveliness().declare_token(entity.token)

    def _hide(self, entity: RosEntity) -> None:
        token = self._tokens.pop(entity.token, None)
        self._own.discard(entity.gid)
        if token is not None and not self._session.is_closed():
            token.undeclare()

    def _shown(self, entity: RosEntity) -> Shown:
        self._show(entity)
        return Shown(partial(self._hide, entity))

    def _on_token(self, sample: zenoh.Sample) -> None:
        token = str(sample.key_expr)
        if sample.kind == zenoh.SampleKind.DELETE:
            self._seen.pop(token, None)
        elif (entity := entity_of(token)) is None:
            self.tallies.refuse("graph", MessageError(f"{token!r:.120} is no token of rmw_zenoh"))
        elif token in self._seen or len(self._seen) < MOST_SEEN:
            self._seen[token] = entity
        else:
            self.tallies.refuse("graph", MessageError(f"more than {MOST_SEEN} nodes and ends"))

    def _on_sample(self, topic: str, deliver: Deliver, sample: zenoh.Sample) -> None:
        keep_thread()
        try:
            seq, stamp_ns, gid = _attachment(sample.attachment)
        except MessageError as error:
            self.tallies.refuse(topic, error)
            return
        deliver(sample.payload, Arrival(gid, seq, stamp_ns, gid in self._own))

    def _on_query(self, name: str, answer: Answer, query: zenoh.Query) -> None:
        try:
            attached = Attachment(*_attachment(query.attachment))
        except MessageError as error:
            self.tallies.refuse(name, error)
            query.drop()  # type: ignore[no-untyped-call]
            return
        request = query.payload.to_bytes() if query.payload is not None else b""
        answer(request, partial(_reply, query, attached))


def _heartbeat(qos: RosQos) -> Any:
    if qos.reliability is not Reliability.RELIABLE:
        return None
    return zenoh.ext.MissDetectionConfig(heartbeat=None, sporadic_heartbeat=0.5)


def _attachment(raw: zenoh.ZBytes | None) -> tuple[int, int, bytes]:
    if raw is None:
        raise MessageError("a message without an attachment; rmw_zenoh refuses it too")
    return read_attachment(raw.to_bytes())


def _reply(query: zenoh.Query, attached: Attachment, answer: bytes | str) -> None:
    """Reply with the request's own number and id: so the client finds what it belongs to."""
    with query:
        if isinstance(answer, str):
            query.reply_err(answer)
            return
        back = Attachment(attached.seq, time.time_ns(), attached.gid)
        query.reply(query.key_expr, answer, attachment=back.to_bytes())
