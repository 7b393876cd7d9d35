"""Tells the world outside that the robot has stopped: webhook, MQTT, sound, light; off at first.

It reads what the guardian writes down after the act, so an alert comes after the stop and never
before it, and nothing of a network, a broker or a loudspeaker stands in the way of one.
"""

from __future__ import annotations

# varies throughout: this speaks to the world outside, and nothing hears it
import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

from olympus.drivers.backoff import Backoff
from olympus.drivers.device_loop import DeviceState
from olympus.drivers.mqtt import MqttLink
from olympus.nodes.alert_outbox import Outbox
from olympus.nodes.alert_ways import (
    Alert,
    Light,
    LightSettings,
    MqttAlerts,
    MqttAlertSettings,
    Sound,
    SoundSettings,
    Way,
    Webhook,
    WebhookSettings,
)
from olympus.nodes.device_health import DeviceHealth
from olympus.nodes.guardian_events import GuardianEvents
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import ConfigError, StoreError
from olympus.runtime.messages import Diagnostic
from olympus.runtime.node import Field, Node, NodeParams, output, timer
from olympus.runtime.qos import Tier
from olympus.runtime.safety.events import FILE as EVENTS

Event = Literal[
    "trip",
    "permit",
    "boot",
    "end",
    "reset refused",
    "reset stuck",
    "socket lost",
    "socket remade",
]
STOPS: tuple[Event, ...] = ("trip", "boot", "end")
_TOLD = ("cause", "by", "evidence", "is_kill", "why")


class Alerts(Node):
    """Tells of stops by the ways that its parameters name."""

    class Params(NodeParams):
        """The ways, and what goes out."""

        events: list[Event] = Field(
            default=["trip"],
            description="What is told by webhook and MQTT; sound tells of trips, a light is on "
            "from a trip to the next permission.",
        )
        webhook: WebhookSettings = Field(
            default_factory=WebhookSettings, description="A page that alerts are posted to."
        )
        mqtt: MqttAlertSettings = Field(
            default_factory=MqttAlertSettings, description="A topic that alerts are published on."
        )
        sound: SoundSettings = Field(
            default_factory=SoundSettings, description="A loudspeaker that sounds at a trip."
        )
        light: LightSettings = Field(
            default_factory=LightSettings, description="A light that is on while it is stopped."
        )
        room: int = Field(100, ge=1, le=10_000, description="Alerts that may wait for each way.")
        keep_s: float = Field(
            3600.0, gt=0, le=86_400, description="Give up an alert that could not be told by then."
        )
        retry_first_s: float = Field(0.5, gt=0, le=60, description="First wait before a new try.")
        retry_most_s: float = Field(30.0, gt=0, le=600, description="Longest wait.")
        catch_up_s: float = Field(
            30.0, ge=0, le=3600, description="Tell what happened so long before it was active."
        )

    is_replayed = False

    params: Params
    alert = output("alert", Diagnostic, latched=True)
    diagnostics = output("diagnostics", Diagnostic, tier=Tier.LOW)

    async def on_configure(self) -> None:
        """Check every way; nothing is sent or connected yet.

        Raises:
            ConfigError: There is no session, or a way can't be used as it is written.
            DeviceError: The MQTT library is not installed.
        """
        if self.session is None:
            raise ConfigError(f"{self.name}: runs only within a session, with a guardian")
        self._robot, self._offset_ns = self.session.name, self.session.clock_offset_ns
        self._events = GuardianEvents(self.session.safety_dir / EVENTS)
        self._boxes: dict[str, Outbox] = {}
        self._health: dict[str, DeviceHealth] = {}
        self._link: MqttLink | None = None
        self._trouble = ""
        self._skipped = 0
        self._add_ways()
        if not self._boxes:
            self.log.warning(
                "no way outside is set: name webhook.url, mqtt.topic, sound.device or light.file"
            )

    async def on_activate(self) -> None:
        """Follow the guardian from now on, and a little before."""
        self._from_ns = self.clock.now_ns() - round(self.params.catch_up_s * NS_PER_S)
        if self._link is not None:
            self.spawn(self._stay_connected(self._link), name="broker")
        for name, box in self._boxes.items():
            self.spawn(box.run(), name=name)

    @timer(0.1)
    async def on_look(self) -> None:
        """Hand on what is new."""
        try:
            news = await asyncio.to_thread(self._events.news)
        except StoreError as error:
            if str(error) != self._trouble:
                self.log.error(str(error))
            self._trouble = str(error)
            return
        self._trouble = ""
        for line, event in news:
            if event["stamp_ns"] < self._from_ns:
                self._skipped += 1
            else:
                self._tell(line, event)

    @timer(1.0)
    async def on_second(self) -> None:
        """Publish the figures of every way."""
        for name, box in self._boxes.items():
            self._health[name].report(box.figures())

    def _tell(self, line: int, event: Mapping[str, Any]) -> None:
        kind, alert = event["event"], self._alert(line, event)
        if kind in self.params.events:
            text = str(alert.get("cause") or kind)
            level = "error" if kind in STOPS else "ok"
            values = {name: str(value) for name, value in alert.items()}
            self.alert.publish(
                Diagnostic(level=level, name=f"guardian/{kind}", text=text, values=values)
            )
        for name, box in self._boxes.items():
            if _concerns(name, kind, self.params.events):
                box.put(alert)

    def _alert(self, line: int, event: Mapping[str, Any]) -> Alert:
        at_ns = event.get("at_ns")
        stamp_ns = at_ns + self._offset_ns if at_ns else event["stamp_ns"]
        told: dict[str, str | int | bool] = {
            "id": f"{self._robot}@{self._offset_ns}:{line}",
            "robot": self._robot,
            "event": str(event["event"]),
            "state": str(event.get("state", "")),
            "at": datetime.fromtimestamp(stamp_ns / NS_PER_S, UTC).isoformat(
                timespec="milliseconds"
            ),
            "stamp_ns": stamp_ns,
            "latch": int(event.get("latch", 0)),
        }
        return told | {name: event[name] for name in _TOLD if name in event}

    def _add_ways(self) -> None:
        one = self.params
        if one.webhook.url:
            self._add("webhook", Webhook(one.webhook).tell)
        if one.mqtt.topic:
            self._link = MqttLink(one.mqtt.broker, clock=self.clock)
            self._add("mqtt", MqttAlerts(one.mqtt, self._link).tell)
        if one.sound.device:
            self._add("sound", Sound(one.sound).tell)
        if one.light.file is not None or one.light.command:
            self._add("light", Light(one.light).tell)

    def _add(self, name: str, way: Way) -> None:
        health = DeviceHealth(f"alerts/{name}", self.log, self.clock, self.diagnostics.publish)

        def on_change(is_well: bool, text: str) -> None:
            health.change(DeviceState.OK if is_well else DeviceState.ERROR, text)

        self._health[name] = health
        self._boxes[name] = Outbox(
            way,
            self.clock,
            room=self.params.room,
            keep_s=self.params.keep_s,
            backoff=Backoff(self.params.retry_first_s, self.params.retry_most_s),
            on_change=on_change,
        )

    async def _stay_connected(self, link: MqttLink) -> None:
        async for _ in link.deliveries(()):
            pass  # nothing was subscribed to


def _concerns(way: str, kind: str, events: list[Event]) -> bool:
    if way == "sound":
        return kind == "trip"
    return kind in ("trip", "permit") if way == "light" else kind in events
