"""Looks: publishes the pictures of a camera, a recording or the simulator."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from olympus.drivers import base as devices
from olympus.drivers.backoff import Backoff
from olympus.drivers.base import STALL_S, Frame
from olympus.drivers.device_loop import DeviceLoop, DeviceState
from olympus.drivers.registry import make_camera
from olympus.drivers.source import Option, without_secret
from olympus.nodes.device_health import DeviceHealth
from olympus.nodes.frozen import Repetition
from olympus.runtime.errors import ConfigError, ParamError
from olympus.runtime.messages import Diagnostic, Header, Image
from olympus.runtime.node import Field, Node, NodeContext, NodeParams, output, timer
from olympus.runtime.qos import Tier


class Camera(Node):
    """Publish what a camera sees on `camera/image`, stamped with the time of capture."""

    class Params(NodeParams):
        """Which camera, and how."""

        source: str = Field(
            default="/dev/video0",
            description="Device, address, pipeline, file or folder; drivers/README.md lists them.",
        )
        fps: float | None = Field(
            default=None, gt=0, le=240, description="Pictures per second to ask for."
        )
        width: int | None = Field(default=None, ge=16, le=8192, description="Columns to ask for.")
        height: int | None = Field(default=None, ge=16, le=8192, description="Rows to ask for.")
        frame_id: str = Field(default="camera", description="Frame of the optical centre.")
        tier: Literal["high", "normal"] = Field(default="high", description="Urgency of pictures.")
        max_age_ms: int = Field(
            default=500, ge=10, le=60_000, description="A picture older than this is worth nothing."
        )
        frozen_s: float | None = Field(
            default=0.5,
            gt=0,
            le=60,
            description="A sensor that repeats one picture to the bit for so long is taken for "
            "frozen, and its pictures are kept back; empty: never.",
        )
        retry_first_s: float = Field(
            default=0.25, gt=0, le=60, description="First wait before a failed device is reopened."
        )
        retry_most_s: float = Field(default=5.0, gt=0, le=600, description="Longest such wait.")

    is_replayed = False

    params: Params
    image = output("camera/image", Image)
    diagnostics = output("diagnostics", Diagnostic, tier=Tier.LOW)

    def __init__(self, context: NodeContext) -> None:
        """Prepare to speak about a device; it comes when the node is configured."""
        super().__init__(context)
        self._health = DeviceHealth(
            "camera/device", self.log, self.clock, lambda news: self.diagnostics.publish(news)
        )
        self._loop: DeviceLoop[devices.Camera, Frame] | None = None
        self._repetition = Repetition()

    async def on_configure(self) -> None:
        """Check the source and make the device; it is opened when the node is activated.

        Raises:
            ConfigError: The source or the back-off can't be used.
        """
        self._loop = DeviceLoop(
            self._make(),
            read=lambda camera: camera.read(patience_s(camera)),
            deliver=self._publish,
            on_change=self._on_change,
            backoff=Backoff(self.params.retry_first_s, self.params.retry_most_s),
        )

    async def on_activate(self) -> None:
        """Let the device's thread work; a device that fails is opened again and again."""
        if self._loop is not None:
            self.spawn(self._loop.run(), name="device")

    def on_params(self, changed: set[str]) -> None:
        """Change to another device or format at once.

        Raises:
            ParamError: The source can't be used.
        """
        if self._loop is None or not changed & {"source", "fps", "width", "height"}:
            return
        try:
            self._loop.swap(self._make())
        except ConfigError as error:
            raise ParamError(f"{self.name}.source: {error}") from error

    @timer(1.0)
    async def on_second(self) -> None:
        """Publish the camera's figures."""
        if self._loop is None:
            return
        counts, applied = self._loop.counts, self._loop.device.applied
        values = {
            "source": without_secret(self.params.source),
            "fps": f"{self._health.rate_hz(counts.delivered):.1f}",
            "frames": str(counts.delivered),
            "superseded": str(counts.superseded),
            "opened": str(counts.opened),
            "failures": str(counts.failures),
            "stalls": str(counts.stalls),
        }
        if applied is not None:
            values["applied"] = f"{applied.width}x{applied.height} at {applied.fps:g} fps"
        self._health.report(values)

    def _make(self) -> devices.Camera:
        params = self.params
        asked = {"fps": params.fps, "width": params.width, "height": params.height}
        wishes: dict[str, Option] = {name: wish for name, wish in asked.items() if wish is not None}
        camera = make_camera(params.source, clock=self.clock, session=self.session, **wishes)
        camera.room = self._room
        return camera

    def _room(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Return memory for a picture: shared, where another host looks; on the device's thread."""
        publisher = self.image.publisher
        return (
            publisher.loan(shape, np.uint8) if publisher is not None else np.empty(shape, np.uint8)
        )

    def _publish(self, frame: Frame) -> None:
        if self._is_frozen(frame):
            return
        header = Header(
            stamp=frame.stamp_ns,
            expires=frame.stamp_ns + self.params.max_age_ms * 1_000_000,
            tier=Tier.HIGH if self.params.tier == "high" else Tier.NORMAL,
        )
        self.image.publish(Image(header=header, data=frame.rgb, frame_id=self.params.frame_id))

    def _is_frozen(self, frame: Frame) -> bool:
        """Tell whether the device repeats itself; say so when that begins and ends."""
        limit_s = self.params.frozen_s
        if limit_s is None or self._loop is None or not self._loop.device.is_noisy:
            return False
        was_frozen = self._repetition.lasted_s >= limit_s
        is_frozen = self._repetition.add(frame) >= limit_s
        if is_frozen and not was_frozen:
            self._on_change(
                DeviceState.STALE, f"repeats one picture for {limit_s:g} s; is it hung?"
            )
        elif was_frozen and not is_frozen:
            self._on_change(DeviceState.OK, "delivers new pictures again")
        return is_frozen

    def _on_change(self, state: DeviceState, text: str) -> None:
        self._health.change(state, text)


def patience_s(camera: devices.Camera) -> float:
    """Return how long a camera may be silent, seconds: 1, or two of its own slow frames."""
    applied = camera.applied
    return max(STALL_S, 2 / applied.fps) if applied is not None and applied.fps > 0 else STALL_S
