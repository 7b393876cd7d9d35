"""The bridge: follows who is in the session and shows it in ROS, and takes what it shall take."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

from olympus.runtime.bus.bus import Bus
from olympus.runtime.bus.link import Entity
from olympus.runtime.bus.options import SubscriptionOptions
from olympus.runtime.bus.ros2.bridge.errand import Errand
from olympus.runtime.bus.ros2.bridge.inward import Inward
from olympus.runtime.bus.ros2.bridge.outward import Outward
from olympus.runtime.bus.ros2.bridge.permission import Permission
from olympus.runtime.bus.ros2.bridge.reports import Reports
from olympus.runtime.bus.ros2.bridge.settings import Action, BridgeSettings, Publish, Subscribe
from olympus.runtime.bus.ros2.bridge.shown import ShownNode
from olympus.runtime.bus.ros2.bridge.stop import RosStop
from olympus.runtime.bus.ros2.joining import join_graph
from olympus.runtime.bus.ros2.mapping import Context, Mapper, Times
from olympus.runtime.bus.ros2.names import ros_name
from olympus.runtime.bus.ros2.participant import Participant, RosNode
from olympus.runtime.bus.ros2.qos import PARAMETER_EVENTS
from olympus.runtime.bus.ros2.zenoh_session import open_router
from olympus.runtime.bus.subscription import Subscription
from olympus.runtime.bus.topics import matches
from olympus.runtime.errors import BusError, ConfigError, MessageError, OlympusError
from olympus.runtime.messages import Diagnostic, HostStats, message_types
from olympus.runtime.qos import QoS

LOOK_S = 0.2
"""How often the session's graph and ROS's wishes are compared."""
CLOCK_S = 0.01
_STATS = "@olympus/stats/*"
_log = logging.getLogger(__name__)


class Bridge:
    """A session in a ROS 2 graph."""

    def __init__(
        self, settings: BridgeSettings, bus: Bus, *, name: str, safety_dir: Path | None = None
    ) -> None:
        """Join the graph; `run` does the rest.

        Args:
            settings: What to show and take.
            bus: The session's bus.
            name: Full name of our node that is the bridge.
            safety_dir: Where the guardian is; None for a session without.

        Raises:
            BusError: The graph can't be joined.
            ConfigError: A setting can't be used.
            MessageError: A topic's type can't be translated as asked for.
        """
        self.settings, self._bus, self._name = settings, bus, name
        self._held = ExitStack()
        if settings.own_router:
            self._held.enter_context(open_router(settings.router[:1], settings.router[1:]))
        self.participant: Participant = join_graph(settings)
        self._mapper = Mapper(self.participant.codecs)
        self._ctx = Context(self.participant.codecs, times=Times(bus.clock.now_ns))
        self.node: RosNode = self.participant.node(name)
        self._shown: dict[str, ShownNode] = {}
        self._outward: dict[tuple[str, str], Outward] = {}
        self._complained: set[str] = set()
        self._reports = Reports(settings, self.participant, self.node, bus, self._ctx)
        self._events = self.node.publisher(
            "/parameter_events", "rcl_interfaces/msg/ParameterEvent", PARAMETER_EVENTS
        )
        self._inward = [self._taken(entry) for entry in settings.subscribe]
        self._permission = Permission(safety_dir)
        self._held.callback(self._permission.close)
        self._errands = [self._errand(entry) for entry in settings.actions]
        if settings.stop and safety_dir is not None:
            RosStop(self.participant, self.node, settings.stop, safety_dir)
        options = SubscriptionOptions(qos=QoS.queue(100), keep_expired=True)
        self._stats: Subscription[HostStats] = bus.subscribe(
            _STATS, HostStats, self._on_stats, options
        )

    def _taken(self, entry: Subscribe) -> Inward:
        return Inward(
            entry,
            bus=self._bus,
            node=self.node,
            name=self._name,
            mapper=self._mapper,
            ctx=self._ctx,
            max_ahead_s=self.settings.max_ahead_s,
        )

    def _errand(self, entry: Action) -> Errand:
        return Errand(
            entry,
            one=self.participant,
            node=self.node,
            bus=self._bus,
            mapper=self._mapper,
            ctx=self._ctx,
            name=self._name,
            permission=self._permission,
        )

    async def run(self) -> None:
        """Keep both sides in step until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._every(LOOK_S, self.look))
            tasks.create_task(self._every(1.0, self._tell_health))
            tasks.create_task(self._every(1.0, self._look_for_changes))
            if self.settings.clock == "publish":
                tasks.create_task(self._every(CLOCK_S, self._tell_clock))

    async def look(self) -> None:
        """Compare the session's graph with what ROS sees, and make it equal."""
        graph = self._bus.graph()
        self._follow_nodes({one.node for one in graph if one.kind == "node"})
        sent = {(one.topic, one.type): one for one in graph if one.kind == "pub"}
        await self._follow_topics(sent)
        for outward in list(self._outward.values()):
            await outward.look()

    def values(self) -> dict[str, str]:
        """Return the bridge's own figures, for a diagnostic."""
        tallies = self.participant.tallies
        return {
            "nodes": str(len(self._shown)),
            "shown": str(len(self._outward)),
            "not_shown": str(len(self._complained) + len(self._reports.missing)),
            "taken": str(len(self._inward)),
            "to_ros": str(sum(one.count for one in self._outward.values())),
            "from_ros": str(sum(one.count for one in self._inward)),
            "refused": str(sum(tallies.refused.values())),
            "lost": str(sum(tallies.lost.values())),
        }

    def health(self) -> Diagnostic:
        """Return how the bridge is."""
        refused = sum(self.participant.tallies.refused.values())
        text = f"{refused} messages refused" if refused else "in step"
        return Diagnostic(
            level="warn" if refused else "ok", name="ros2/bridge", text=text, values=self.values()
        )

    async def close(self) -> None:
        """Leave the graph; again is harmless."""
        for outward in self._outward.values():
            await outward.close()
        for inward in self._inward:
            inward.close()
        for errand in self._errands:
            await errand.close()
        await self._bus.unsubscribe(self._stats)
        await self._reports.close()
        await self.participant.close()
        self._held.close()

    def _follow_nodes(self, present: set[str]) -> None:
        for name in present - self._shown.keys():
            if name:
                self._shown[name] = ShownNode(
                    self.participant,
                    self._bus,
                    name,
                    settings=self.settings,
                    own=self.node if name == self._name else None,
                    events=self._events,
                )
        for name in self._shown.keys() - present:
            self._shown.pop(name).close()

    async def _follow_topics(self, sent: dict[tuple[str, str], Entity]) -> None:
        wanted = {(one.topic, one.type): one for one in sent.values() if self._is_shown(one.topic)}
        for key, entity in wanted.items():
            if key not in self._outward:
                self._show_topic(key, entity)
        for key in self._outward.keys() - wanted.keys():
            await self._outward.pop(key).close()

    def _is_shown(self, topic: str) -> bool:
        if topic.startswith("@") or any(matches(one, topic) for one in self.settings.hide):
            return False
        if any(inward.topic == topic for inward in self._inward):
            return False
        named = any(one.topic == topic for one in self.settings.publish)
        if not (named or self.participant.backend.knows_own) and self._is_taken(topic):
            self._complain(topic, "ROS's topic of that name is taken: it would go in a circle")
            return False
        return self.settings.publish_all or any(e.topic == topic for e in self.settings.publish)

    def _is_taken(self, topic: str) -> bool:
        return any(one.ros == ros_name(topic) for one in self.settings.subscribe)

    def _show_topic(self, key: tuple[str, str], entity: Entity) -> None:
        cls = message_types().get(entity.type)
        if cls is None:
            self._complain(entity.topic, f"its type {entity.type} is not known in this process")
            return
        entries = [one for one in self.settings.publish if one.topic == entity.topic]
        if self._reports.follow(entity.topic, cls) and not entries:
            return
        owner = self._shown.get(entity.node)
        for number, entry in enumerate(entries or [Publish(topic=entity.topic)]):
            full = key if not number else (f"{key[0]}#{number}", key[1])
            try:
                self._outward[full] = Outward(
                    entry,
                    cls,
                    bus=self._bus,
                    owner=owner.node if owner is not None else self.node,
                    mapper=self._mapper,
                    ctx=self._context(entry),
                    tallies=self.participant.tallies,
                )
            except (MessageError, ConfigError, BusError) as error:
                self._complain(entity.topic, str(error))

    def _context(self, entry: Publish) -> Context:
        return Context(self.participant.codecs, times=self._ctx.times, frame_id=entry.frame_id)

    def _complain(self, topic: str, text: str) -> None:
        if topic not in self._complained:
            self._complained.add(topic)
            _log.warning("%s is not shown in ROS: %s", topic, text)

    def _on_stats(self, stats: HostStats) -> None:
        for one in stats.nodes:
            if (shown := self._shown.get(one.name)) is not None:
                shown.note(one.state)

    async def _tell_health(self) -> None:
        self._reports.tell_health()

    async def _look_for_changes(self) -> None:
        """Tell changed parameters; a node that hangs holds up nobody's, and no diagnostics."""
        await asyncio.gather(*(shown.second() for shown in list(self._shown.values())))

    async def _tell_clock(self) -> None:
        self._reports.tell_clock()

    async def _every(self, period_s: float, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await work()
            except OlympusError as error:  # counted and told; the other tasks go on
                self.participant.tallies.refuse("bridge", error)
            await self._bus.clock.sleep(period_s)
