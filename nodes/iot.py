"""Asks the building: turns MQTT messages into readings."""

from __future__ import annotations

import asyncio

from olympus.drivers.decoder import ReadingDecoder, SensorValue
from olympus.drivers.device_loop import DeviceState
from olympus.drivers.mqtt import MqttLink, MqttSettings
from olympus.drivers.readings import ReadingRule
from olympus.drivers.source import without_secret
from olympus.nodes.device_health import DeviceHealth
from olympus.runtime.errors import ConfigError, ParamError
from olympus.runtime.messages import Diagnostic, Header, Reading
from olympus.runtime.node import Field, Node, NodeContext, NodeParams, output, timer
from olympus.runtime.qos import Tier


class Iot(Node):
    """Publish what MQTT sensors say on `iot/readings`; what can't be true is marked not valid."""

    class Params(NodeParams):
        """Which broker, and what its topics mean."""

        broker: MqttSettings = Field(
            default_factory=MqttSettings, description="How to reach the broker."
        )
        mapping: list[ReadingRule] = Field(
            default_factory=list, description="Which topics become which readings."
        )
        qos: int = Field(default=1, ge=0, le=2, description="Quality of service to ask for.")

    is_replayed = False

    params: Params
    readings = output("iot/readings", Reading, is_reliable=True)
    diagnostics = output("diagnostics", Diagnostic, tier=Tier.LOW)

    def __init__(self, context: NodeContext) -> None:
        """Prepare to speak about a broker; it is called when the node is activated."""
        super().__init__(context)
        self._health = DeviceHealth(
            "iot/broker", self.log, self.clock, lambda news: self.diagnostics.publish(news)
        )
        self._decoder = ReadingDecoder(())
        self._link: MqttLink | None = None
        self._listening: asyncio.Task[None] | None = None
        self._count = 0

    async def on_configure(self) -> None:
        """Check the address, certificates and rules; nothing is connected yet.

        Raises:
            ConfigError: One of them can't be used.
            DeviceError: The MQTT library is not installed.
        """
        self._link = self._make_link()
        if not self.params.mapping:
            self.log.warning("mapping is empty: no MQTT topic becomes a reading")

    async def on_activate(self) -> None:
        """Connect, and stay connected."""
        self._listen()

    def on_params(self, changed: set[str]) -> None:
        """Connect anew with the new settings and rules.

        Raises:
            ParamError: The new address, certificates or password file can't be used.
        """
        try:
            self._link = self._make_link()
        except ConfigError as error:
            raise ParamError(f"{self.name}.broker: {error}") from error
        if self._listening is not None and not self._listening.done():
            self._listening.cancel()
            self._listen()

    @timer(0.5)
    async def on_look_for_silence(self) -> None:
        """Say which readings have been silent for too long."""
        for value in self._decoder.stale(self.clock.now_ns()):
            self._publish(value)

    @timer(1.0)
    async def on_second(self) -> None:
        """Publish the figures."""
        refused = {f"refused.{why}": str(n) for why, n in sorted(self._decoder.refused.items())}
        self._health.report(
            {
                "url": without_secret(self.params.broker.url),
                "readings": str(self._count),
                "connects": str(self._link.connects if self._link else 0),
                **refused,
            }
        )

    def _make_link(self) -> MqttLink:
        return MqttLink(self.params.broker, clock=self.clock, on_change=self._on_change)

    def _listen(self) -> None:
        if self._link is None:
            return
        self._decoder = ReadingDecoder(self.params.mapping, now_ns=self.clock.now_ns())
        self._listening = self.spawn(self._follow(self._link, self._decoder), name="broker")

    async def _follow(self, link: MqttLink, decoder: ReadingDecoder) -> None:
        async for delivery in link.deliveries(decoder.filters, self.params.qos):
            for value in decoder.decode(delivery):
                self._publish(value)

    def _publish(self, value: SensorValue) -> None:
        self._count += 1
        self.readings.publish(
            Reading(
                header=Header(stamp=value.stamp_ns),
                name=value.name,
                value=value.value,
                unit=value.unit,
                valid=value.valid,
                device=value.device,
                text=value.text,
            )
        )

    def _on_change(self, connected: bool, text: str) -> None:
        self._health.change(DeviceState.OK if connected else DeviceState.ERROR, text)
