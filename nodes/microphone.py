"""Hears: publishes the sound of a microphone, a recording or the simulator."""

from __future__ import annotations

from olympus.drivers import base as devices
from olympus.drivers.backoff import Backoff
from olympus.drivers.base import AudioBlock
from olympus.drivers.device_loop import DeviceLoop, DeviceState
from olympus.drivers.registry import make_microphone
from olympus.drivers.source import without_secret
from olympus.nodes.device_health import DeviceHealth
from olympus.runtime.errors import ConfigError, ParamError
from olympus.runtime.messages import AudioChunk, Diagnostic, Header
from olympus.runtime.node import Field, Node, NodeContext, NodeParams, output, timer
from olympus.runtime.qos import Tier

_DEPTH = 20
"""Blocks that wait while the event loop is busy: two seconds of sound."""


class Microphone(Node):
    """Publish what a microphone hears on `microphone/audio`, stamped with its first sample."""

    class Params(NodeParams):
        """Which microphone, and how."""

        source: str = Field(
            default="portaudio://default",
            description="Device or WAV file; drivers/README.md lists them.",
        )
        max_age_ms: int = Field(
            default=3000, ge=10, le=60_000, description="Sound older than this is worth nothing."
        )
        retry_first_s: float = Field(
            default=0.25, gt=0, le=60, description="First wait before a failed device is reopened."
        )
        retry_most_s: float = Field(default=5.0, gt=0, le=600, description="Longest such wait.")

    is_replayed = False

    params: Params
    audio = output("microphone/audio", AudioChunk)
    diagnostics = output("diagnostics", Diagnostic, tier=Tier.LOW)

    def __init__(self, context: NodeContext) -> None:
        """Prepare to speak about a device; it comes when the node is configured."""
        super().__init__(context)
        self._health = DeviceHealth(
            "microphone/device", self.log, self.clock, lambda news: self.diagnostics.publish(news)
        )
        self._loop: DeviceLoop[devices.Microphone, AudioBlock] | None = None

    async def on_configure(self) -> None:
        """Check the source and make the device; it is opened when the node is activated.

        Raises:
            ConfigError: The source or the back-off can't be used.
        """
        self._loop = DeviceLoop(
            self._make(),
            read=lambda microphone: microphone.read(),
            deliver=self._publish,
            on_change=self._on_change,
            backoff=Backoff(self.params.retry_first_s, self.params.retry_most_s),
            depth=_DEPTH,
        )

    async def on_activate(self) -> None:
        """Let the device's thread work; a device that fails is opened again and again."""
        if self._loop is not None:
            self.spawn(self._loop.run(), name="device")

    def on_params(self, changed: set[str]) -> None:
        """Change to another device at once.

        Raises:
            ParamError: The source can't be used.
        """
        if self._loop is None or "source" not in changed:
            return
        try:
            self._loop.swap(self._make())
        except ConfigError as error:
            raise ParamError(f"{self.name}.source: {error}") from error

    @timer(1.0)
    async def on_second(self) -> None:
        """Publish the microphone's figures."""
        if self._loop is None:
            return
        counts = self._loop.counts
        self._health.report(
            {
                "source": without_secret(self.params.source),
                "blocks_per_s": f"{self._health.rate_hz(counts.delivered):.1f}",
                "blocks": str(counts.delivered),
                "superseded": str(counts.superseded),
                "lost_samples": str(self._loop.device.lost_samples),
                "opened": str(counts.opened),
                "failures": str(counts.failures),
                "stalls": str(counts.stalls),
            }
        )

    def _make(self) -> devices.Microphone:
        return make_microphone(self.params.source, clock=self.clock, session=self.session)

    def _publish(self, block: AudioBlock) -> None:
        header = Header(
            stamp=block.stamp_ns, expires=block.stamp_ns + self.params.max_age_ms * 1_000_000
        )
        self.audio.publish(AudioChunk(header=header, samples=block.samples, rate_hz=block.rate_hz))

    def _on_change(self, state: DeviceState, text: str) -> None:
        self._health.change(state, text)
