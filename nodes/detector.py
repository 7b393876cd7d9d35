"""Finds people and things in the camera's pictures with a model."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olympus.models.meaning import origin_of
from olympus.models.onnx import OnnxModel, open_model
from olympus.models.registry import Registry
from olympus.models.vision import Sight, sight_of
from olympus.runtime.errors import BusError, LifecycleError, ModelError, ParamError
from olympus.runtime.messages import Detections, Image
from olympus.runtime.node import Field, Node, NodeContext, NodeParams, output, subscribe
from olympus.runtime.node.remote_model import RemoteModel
from olympus.runtime.qos import QoS
from olympus.runtime.scheduler import JobDroppedError

_OF_THE_MODEL = {"model", "model_host"}
EARLY = 0.2
"""A picture may come by this share of a period too early, as cameras jitter."""


@dataclass(frozen=True, slots=True)
class Looker:
    """A loaded model and how it is asked about pictures."""

    model: OnnxModel | RemoteModel
    sight: Sight

    @classmethod
    def load(cls, name_or_path: str, host: str = "") -> Looker:
        """Load a model that sees, or find out how to ask a model host for it.

        Args:
            name_or_path: Which one.
            host: Full name of a model host's node; empty to run it here.

        Raises:
            ModelError: It is unknown, damaged, or made for something else.
        """
        if host:
            stored = Registry().find(name_or_path)
            remote = RemoteModel(host, stored.name, origin_of(stored))
            return cls(remote, sight_of(stored.manifest))
        model = open_model(name_or_path)
        return cls(model, sight_of(model.manifest))

    @property
    def title(self) -> str:
        """Name and version of what looks; of a model host's, the one that answered last."""
        return self.model.origin.title


class Detector(Node):
    """Runs a detector or an image classifier on the newest picture.

    A detector's finds are published as boxes, a classifier's answer as one box as large as the
    picture. Each picture that is looked at gives one message, an empty one too.
    """

    class Params(NodeParams):
        """Which model, and how often."""

        model: str = Field(
            "person-obstacle",
            min_length=1,
            description="A shipped model's name, or the path of a manifest or its folder.",
        )
        model_host: str = Field(
            "", description="Node of a model host that runs it; empty: it runs in this process."
        )
        min_confidence: float = Field(
            0.6, ge=0, le=1, description="Detections less sure than this are left out."
        )
        deadline_ms: float = Field(
            150.0,
            gt=0,
            le=10_000,
            description="A picture older than this is not looked at any more.",
        )
        max_rate_hz: float = Field(
            30.0, gt=0, le=240, description="Pictures that come faster are left out."
        )

        def before_start(self) -> list[str]:
            """Find the model.

            Raises:
                ModelError: There is no such model, or it is none that sees.
            """
            sight_of(Registry().find(self.model).manifest)
            return []

        def models_asked(self) -> dict[str, str]:
            """Ask a model host, where one is named."""
            return {self.model_host: self.model} if self.model_host else {}

    params: Params
    detections = output("detections", Detections)

    @classmethod
    def models_kept(cls, params: Params) -> tuple[str, ...]:
        """Keep the model, unless a model host does."""
        return () if params.model_host else (params.model,)

    def __init__(self, context: NodeContext) -> None:
        super().__init__(context)
        self._looker: Looker | None = None
        self._next: Looker | None = None
        """Of parameters that are about to be set."""
        self._due_ns = 0
        self.late = 0
        """Pictures that became too old before their turn."""

    async def on_configure(self) -> None:
        """Load the model."""
        self._looker = await asyncio.to_thread(
            self.load, self.params
        )  # varies: before anything is heard
        self.log.info("model loaded", model=self._looker.title)

    async def on_cleanup(self) -> None:
        """Let go of the model."""
        self._looker = self._next = None

    async def prepare_params(self, params: Params, changed: set[str]) -> None:
        """Load another model while the old one looks on.

        Raises:
            ParamError: It can't be loaded; the old one stays.
        """
        if changed & _OF_THE_MODEL and self.is_configured:
            self._next = None
            self._next = await asyncio.to_thread(self._loaded_or_refused, params)  # varies: no look

    def on_params(self, changed: set[str]) -> None:
        """Exchange the model when its name has changed.

        Raises:
            ParamError: The new model can't be loaded; the old one stays.
        """
        if changed & _OF_THE_MODEL and self.is_configured:
            self._looker = self._next or self._loaded_or_refused(self.params)
        self._next = None

    @property
    def is_configured(self) -> bool:
        """Whether it has a model."""
        return self._looker is not None

    def load(self, params: Params) -> Looker:
        """Load the model that parameters name; called on a thread of its own.

        Raises:
            ModelError: It is unknown, damaged, or made for something else.
        """
        name = params.model_host
        return Looker.load(params.model, self.full_topic(name) if name else "")

    def _loaded_or_refused(self, params: Params) -> Looker:
        try:
            return self.load(params)
        except ModelError as error:
            raise ParamError(f"{self.name}: model: {error}") from error

    @subscribe("camera/image", qos=QoS.latest())
    async def on_image(self, image: Image) -> None:
        """Look at a picture, unless it comes too soon or its turn comes too late."""
        if not self._is_due(image.header.stamp):
            return
        looker = self._loaded()
        feed, where = looker.sight.feed(_rgb(image))
        deadline_ns = image.header.stamp + round(self.params.deadline_ms * 1e6)
        try:
            outputs = await self.infer(
                looker.model, feed, tier=image.header.tier, deadline_ns=deadline_ns
            )
        except (JobDroppedError, BusError) as error:
            if not isinstance(error, JobDroppedError):
                self.log.warning(f"no answer from the model host: {error}")
            self.late += 1
            self.log.debug("picture dropped", seq=image.header.seq, late=self.late)
            return
        items = looker.sight.read(outputs, where, self.params.min_confidence)
        height, width = image.data.shape[:2]
        seen = Detections(
            items=items,
            frame_id=image.frame_id,
            width=width,
            height=height,
            model=looker.title,
        )
        self.detections.publish(seen, cause=image)

    def _loaded(self) -> Looker:
        if self._looker is None:
            raise LifecycleError(f"{self.name}: has no model; configure it first")
        return self._looker

    def _is_due(self, stamp_ns: int) -> bool:
        period_ns = round(1e9 / self.params.max_rate_hz)
        if abs(stamp_ns - self._due_ns) > 10 * period_ns:  # the first one, or after a gap
            self._due_ns = stamp_ns
        if stamp_ns < self._due_ns - EARLY * period_ns:
            return False
        self._due_ns = max(self._due_ns, stamp_ns) + period_ns
        return True


def _rgb(image: Image) -> NDArray[np.uint8]:
    return image.data if image.encoding == "rgb8" else np.ascontiguousarray(image.data[..., ::-1])
