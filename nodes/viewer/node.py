"""The viewer node: listens to everything, serves the page, carries the operator's acts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from pydantic import Field

from olympus.nodes.viewer.audience import Audience
from olympus.nodes.viewer.collector import Collector
from olympus.nodes.viewer.desk import RobotDesk
from olympus.nodes.viewer.guardian import Latch
from olympus.nodes.viewer.peek import Peek
from olympus.nodes.viewer.plots import Plots, parted
from olympus.nodes.viewer.server import listening, serve
from olympus.nodes.viewer.streams import Board, ms
from olympus.nodes.viewer.web import Web
from olympus.runtime.bus import Subscription, SubscriptionOptions
from olympus.runtime.messages import (
    AudioChunk,
    Battery,
    Command,
    Detections,
    Diagnostic,
    HostStats,
    Image,
    Log,
    Message,
    MissionState,
    Odometry,
    Percept,
    Pose,
    Ranges,
    Reading,
    SoundEvent,
    Twist,
)
from olympus.runtime.node import Node, NodeParams, output, timer
from olympus.runtime.qos import QoS

URL_FILE = "viewer.url"
"""Name of the file in the session's run folder that holds the page's address."""


@dataclass(frozen=True, slots=True)
class Source:
    """One topic the page shows something of."""

    param: str
    """Name of the parameter that names the topic."""
    cls: type[Message]
    handler: Callable[[Any], None]
    qos: QoS
    only_watched: bool = False
    """Whether it is listened to only while somebody watches the page."""


class Viewer(Node):
    """Shows the robot to an operator, on a page at a local address."""

    class Params(NodeParams):
        """Where the page is, and which topics it shows."""

        host: str = Field("127.0.0.1", description="Address to listen at.")
        port: int = Field(8700, ge=0, le=65535, description="0 takes any free port.")
        names: list[str] = Field(
            [], description="Host names, besides localhost, that the page may be reached by."
        )
        push_hz: float = Field(8.0, ge=1, le=30, description="How often pages get news.")
        jpeg_quality: int = Field(80, ge=10, le=100, description="Of the live picture.")
        clients: int = Field(16, ge=1, le=200, description="How many pages may be open at once.")
        camera: str = Field("camera/image", description="Topic of the live picture.")
        detections: str = Field("detections", description="Topic of what is seen in it.")
        audio: str = Field("microphone/audio", description="Topic of the level meter.")
        sound_events: str = Field("sound_events", description="Topic of what is heard.")
        readings: str = Field("iot/readings", description="Topic of the plots; may hold '*'.")
        percepts: str = Field("percepts", description="Topic of what is on the map.")
        odometry: str = Field("odometry", description="Topic of how far the wheels have turned.")
        pose: str = Field("pose", description="Topic of where the robot is on the map.")
        ranges: str = Field("ranges", description="Topic of the range sensors.")
        battery: str = Field("battery", description="Topic of the battery.")
        cmd_vel: str = Field("cmd_vel", description="Topic of the commanded speed.")
        mission: str = Field("mission", description="Topic of what the robot is about.")
        diagnostics: str = Field("diagnostics", description="Topic of the health of nodes' parts.")
        plots: list[str] = Field(
            [], description="Fields to plot besides the readings: odometry:angular_radps."
        )

    is_replayed = False
    _is_anew = False

    params: Params
    command = output("command", Command, is_reliable=True)

    async def on_configure(self) -> None:
        """Make the board; nothing is heard or served yet.

        Raises:
            ConfigError: What shall be plotted is not written as `topic:field`.
        """
        self._wanted = [parted(wanted) for wanted in self.params.plots]
        self.board, self.audience = Board(), Audience(self.params.clients)
        self._collector = Collector(
            self.board, self.audience, self.clock.now_ns, quality=self.params.jpeg_quality
        )
        self._steady: list[Subscription[Any]] = []
        self._watched: list[Subscription[Any]] = []
        self._latch: Latch | None = None
        self._pushes = 0
        self._show_camera()
        if self.session is not None:
            self.board.value("session").set({"name": self.session.name})
            self._latch = Latch(
                self.session.safety_dir, self.board.value("safety"), self.clock.now_ns
            )

    async def on_activate(self) -> None:
        """Listen to the topics and serve the page.

        Raises:
            ConfigError: The address or port can't be had.
        """
        self._socket = listening(self.params.host, self.params.port)
        host, port = self._socket.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{port}/"
        self.peek = Peek(self.bus, self.name)
        self._plots = Plots(self.bus, self.name, self._collector.plot)
        for topic, field in self._wanted:
            await self.plot(self._full(topic), field, on=True)
        desk = RobotDesk(self, self._collector.hosts, self.peek, self._latch)
        web = Web(desk, self.board, self.audience)
        self.spawn(serve(web.app(tuple(self.params.names)), self._socket, self.log), name="web")
        self._steady = [self._listen(s) for s in self._sources() if not s.only_watched]
        if self.session is not None:
            (self.session.run_dir / URL_FILE).write_text(self.url + "\n")
        self.log.info(f"the page is at {self.url}", url=self.url)
        if not ip_address(host).is_loopback:
            self.log.warning(
                "whoever reaches this address can stop, reset and command the robot: the page "
                "knows no users; keep it to 127.0.0.1 and come through a tunnel",
                host=host,
            )

    async def on_deactivate(self) -> None:
        """Stop listening; the page was let go already."""
        for subscription in (*self._steady, *self._watched):
            await self.bus.unsubscribe(subscription)
        await self.peek.close()
        await self._plots.close()
        self._steady, self._watched = [], []
        self._socket.close()
        if self.session is not None:
            (self.session.run_dir / URL_FILE).unlink(missing_ok=True)

    async def on_cleanup(self) -> None:
        """Stop looking at the guardian."""
        if self._latch is not None:
            self._latch.close()

    @timer(hz="push_hz")
    async def on_push(self) -> None:
        """Bring the board up to date and offer it to everybody."""
        await self._follow_audience()
        self._pushes += 1
        if not self.audience.clients:
            return
        self._collector.on_tick()
        if self._pushes % 4 == 0:
            self._update_rows()
        self.audience.offer_state()

    @timer(hz="push_hz")
    async def on_look(self) -> None:
        """Look at the guardian; on a timer of its own, since a dead one takes long to ask."""
        if self._latch is not None and self.audience.clients:
            await self._latch.look()

    @timer(1.0)
    async def on_second(self) -> None:
        """Add a point to the topics' rates."""
        await self.peek.sweep()
        self._update_rows()
        self._collector.on_second()

    async def plot(self, topic: str, field: str, *, on: bool) -> None:
        """Plot a field of a topic's messages, or no longer.

        Raises:
            ConfigError: `topic` is no topic name, or too many fields are plotted.
        """
        if on:
            self._plots.add(topic, field)
        else:
            await self._plots.remove(topic, field)
            self._collector.unplot(f"{topic}:{field}")
        self.board.value("plots").set(self._plots.names)

    def now_ms(self) -> float:
        """Return robot time, ms."""
        return ms(self.clock.now_ns())

    def on_params(self, changed: set[str]) -> None:
        """Listen to the topics of now instead, where the page is open."""
        self._is_anew = bool(changed & {s.param for s in self._sources() if s.only_watched})
        self._show_camera()

    def _show_camera(self) -> None:
        self.board.value("camera").set({"node": self.name, "topic": self._full(self.params.camera)})

    def _update_rows(self) -> None:
        alive = {entity.node for entity in self.bus.graph() if entity.kind == "node"}
        if alive:
            self._collector.hosts.on_present(alive)
        self._collector.on_rows(self.name)

    async def _follow_audience(self) -> None:
        """Listen to pictures and the like only while somebody watches."""
        if self.audience.wants_picture and not self._watched:
            self._watched = [self._listen(s) for s in self._sources() if s.only_watched]
        elif self._watched and (self._is_anew or not self.audience.wants_picture):
            gone, self._watched = self._watched, []
            self._is_anew = False
            await asyncio.gather(*(self.bus.unsubscribe(s) for s in gone))

    def _listen(self, source: Source) -> Subscription[Any]:
        is_fixed = source.param.startswith("@")
        topic = source.param if is_fixed else self._full(getattr(self.params, source.param))
        options = SubscriptionOptions(
            node=self.name, qos=source.qos, on_error=self._on_error, keep_expired=True
        )
        return self.bus.subscribe(topic, source.cls, source.handler, options)

    def _full(self, name: str) -> str:
        """Return the full name of a topic, or of a pattern with '*'."""
        if "*" not in name:
            return self.full_topic(name)
        namespace = self.name.rpartition("/")[0]
        is_absolute = name.startswith(("/", "@")) or not namespace
        return name.removeprefix("/") if is_absolute else f"{namespace}/{name}"

    def _on_error(self, error: Exception, message: Message) -> None:
        self.errors += 1
        self.log.error(f"can't show a {type(message).__name__}: {error}")

    def _sources(self) -> list[Source]:
        to, latest, queue = self._collector, QoS.latest(), QoS.queue(200)
        return [
            Source("@olympus/stats/*", HostStats, to.on_host_stats, queue),
            Source("@olympus/log", Log, to.on_log, queue),
            Source("readings", Reading, to.on_reading, queue),
            Source("battery", Battery, to.on_battery, queue),
            Source("sound_events", SoundEvent, to.on_sound_event, queue),
            Source("odometry", Odometry, to.on_odometry, queue),
            Source("pose", Pose, to.on_pose, queue),
            Source("diagnostics", Diagnostic, to.on_diagnostic, queue),
            Source("mission", MissionState, to.on_mission, queue),
            Source("camera", Image, to.on_image, latest, only_watched=True),
            Source("detections", Detections, to.on_detections, latest, only_watched=True),
            Source("audio", AudioChunk, to.on_audio, queue, only_watched=True),
            Source("percepts", Percept, to.on_percept, queue, only_watched=True),
            Source("ranges", Ranges, to.on_ranges, queue, only_watched=True),
            Source("cmd_vel", Twist, to.on_twist, queue, only_watched=True),
        ]
