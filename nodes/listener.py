"""Listens: turns the microphone's stream into sound events.

A heard "stop" is published as CRITICAL; what acts on it may add a request to stop, but the safety
path never depends on being heard.
"""

from __future__ import annotations

import asyncio

from olympus.models.audio_features import BANDS, RATE_HZ, LogMelStream
from olympus.models.manifest import Manifest
from olympus.models.onnx import open_model
from olympus.models.registry import Registry
from olympus.models.sound_events import BACKGROUND, MAX_LOOKS, Decider, Heard, Rules
from olympus.runtime.errors import ModelError, ParamError
from olympus.runtime.messages import AudioChunk, Header, SoundEvent
from olympus.runtime.node import Field, Node, NodeContext, NodeParams, output, subscribe
from olympus.runtime.qos import QoS, Tier
from olympus.runtime.scheduler import JobDroppedError

DEADLINE_NS = 500_000_000
"""A look that has waited longer than this is not worth its computing."""
TIERS = {"stop": Tier.CRITICAL, "help": Tier.HIGH, "siren": Tier.HIGH, "alarm": Tier.HIGH}
"""How urgent an event is; NORMAL where it isn't listed."""


class Listener(Node):
    """Hear spoken commands and telling noises in `microphone/audio`."""

    class Params(NodeParams):
        """What to listen with, and how sure to be."""

        model: str = Field("sound-events", description="Name or path of a sound model.")
        min_confidence: float = Field(
            0.75, ge=0.0, le=1.0, description="Smoothed probability from which a sound is an event."
        )
        hop_ms: int = Field(100, ge=20, le=500, description="Time from look to look.")
        looks: int = Field(
            3, ge=1, le=MAX_LOOKS, description="Looks that are averaged for a decision."
        )
        refractory_s: float = Field(
            1.5, ge=0.0, le=60.0, description="How long the same event keeps quiet afterwards."
        )
        min_level_dbfs: float = Field(
            -70.0, ge=-100.0, le=0.0, description="Quieter seconds are not looked at."
        )

        def before_start(self) -> list[str]:
            """Find the model.

            Raises:
                ModelError: There is no such model, or it is none that hears.
            """
            frames_of(Registry().find(self.model).manifest)
            return []

    params: Params
    sound_events = output("sound_events", SoundEvent, is_reliable=True)

    @classmethod
    def models_kept(cls, params: Params) -> tuple[str, ...]:
        """Keep the model."""
        return (params.model,)

    def __init__(self, context: NodeContext) -> None:
        """Start the counters; the model comes when the node is configured."""
        super().__init__(context)
        self.samples_heard = 0
        """Samples taken in so far."""
        self.gaps = 0
        """Times the stream was interrupted."""
        self.skipped_looks = 0
        """Looks that came too late to be worth computing."""
        self._loaded = ""

    async def on_configure(self) -> None:
        """Load the model.

        Raises:
            ModelError: It is not known, damaged, or takes something else than log-mel frames.
        """
        self._model = await asyncio.to_thread(
            open_model, self.params.model
        )  # varies: before anything is heard
        self._stream = LogMelStream(frames_of(self._model.manifest))
        self._decider = Decider(self._model.manifest.labels)
        self._loaded = self._model.name
        self._next_seq = 0
        self._until_look = self._hop
        self._bad_rate_hz = 0

    async def on_cleanup(self) -> None:
        """Let the model go."""
        self._loaded = ""

    def on_params(self, changed: set[str]) -> None:
        """Take over new rules.

        Raises:
            ParamError: The model is to be another one.
        """
        if "model" in changed and self._loaded:
            raise ParamError(
                f"{self.name}.model: can't change while {self._loaded} is loaded; "
                "set it in the launch file, or clean the node up and configure it anew"
            )

    @subscribe("microphone/audio", qos=QoS.queue(20, drop="oldest"))
    async def on_audio(self, chunk: AudioChunk) -> None:
        """Take the next piece of sound, and look at the newest second every `hop_ms`."""
        if not self._is_usable(chunk):
            return
        left = chunk.samples
        while len(left):
            taken, left = left[: self._until_look], left[self._until_look :]
            self._stream.push(taken)
            self._until_look -= len(taken)
            if self._until_look == 0:
                self._until_look = self._hop
                await self._look(chunk, len(chunk.samples) - len(left))
        self.samples_heard += len(chunk.samples)

    @property
    def _hop(self) -> int:
        """Samples from look to look."""
        return self.params.hop_ms * RATE_HZ // 1000

    @property
    def _rules(self) -> Rules:
        p = self.params
        return Rules(p.min_confidence, p.looks, p.refractory_s)

    def _is_usable(self, chunk: AudioChunk) -> bool:
        """Notice gaps and wrong rates."""
        if chunk.rate_hz != RATE_HZ:
            if chunk.rate_hz != self._bad_rate_hz:
                self.log.error(
                    f"sound of {chunk.rate_hz} Hz is not listened to; "
                    f"set the microphone to {RATE_HZ} Hz"
                )
            self._bad_rate_hz = chunk.rate_hz
            return False
        expected, self._next_seq = self._next_seq, chunk.header.seq + 1
        if expected and chunk.header.seq != expected:
            self.gaps += 1
            self.log.warning(
                "sound is missing; listening anew", expected=expected, got=chunk.header.seq
            )
            self._stream.reset()
            self._decider.reset()
            self._until_look = self._hop
        return True

    async def _look(self, chunk: AudioChunk, position: int) -> None:
        """Run the model on the second that ends `position` samples into the chunk."""
        level_dbfs = self._stream.level_dbfs
        if not self._stream.is_full or level_dbfs < self.params.min_level_dbfs:
            return
        try:
            found = await self.infer(
                self._model,
                {"log_mel": self._stream.window()[None]},
                deadline_ns=self.clock.now_ns() + DEADLINE_NS,
            )
        except JobDroppedError as error:
            self.skipped_looks += 1
            self.log.warning("a look came too late", error=error, skipped=self.skipped_looks)
            return
        stamp_ns = chunk.header.stamp + position * 1_000_000_000 // RATE_HZ
        heard = self._decider.decide(found["probabilities"][0], stamp_ns, self._rules)
        if heard is not None:
            self._publish(heard, level_dbfs, chunk)

    def _publish(self, heard: Heard, level_dbfs: float, chunk: AudioChunk) -> None:
        event = SoundEvent(
            header=Header(tier=TIERS.get(heard.label, Tier.NORMAL)),
            label=heard.label,
            confidence=heard.confidence,
            level_dbfs=level_dbfs,
            model=self._model.manifest.title,
        )
        self.sound_events.publish(event, cause=chunk)
        self.log.info("heard", label=heard.label, confidence=f"{heard.confidence:.2f}")


def frames_of(manifest: Manifest) -> int:
    """Tell how many 10 ms frames a sound model looks at.

    Raises:
        ModelError: It is no sound model of our kind.
    """
    ports = {tensor.name: tensor for tensor in (*manifest.inputs, *manifest.outputs)}
    sound, found = ports.get("log_mel"), ports.get("probabilities")
    shape = sound.shape if sound is not None and sound.dtype == "float32" else ()
    is_right = len(shape) == 3 and isinstance(shape[1], int) and shape[2] == BANDS
    gives = found.shape[1:] if found is not None else ()
    if not is_right or gives != (len(manifest.labels),) or BACKGROUND not in manifest.labels:
        raise ModelError(
            f"model {manifest.name}: is no sound model for the listener; it needs an input "
            f"log_mel (1, frames, {BANDS}) of float32, an output probabilities (1, labels), and "
            f"labels with {BACKGROUND!r} among them (models/zoo/sound-events/manifest.yaml is one)"
        )
    return int(shape[1])
