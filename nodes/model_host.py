"""The model host: one process whose scheduler serves the models of all nodes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from olympus.models.llama import LlamaModel
from olympus.models.onnx import OnnxModel
from olympus.models.registry import Registry
from olympus.models.swap import load
from olympus.runtime.errors import ModelError, did_you_mean
from olympus.runtime.messages.inference import (
    Completed,
    Infer,
    Inferred,
    Prompt,
    arrays_of,
    tensors_of,
)
from olympus.runtime.node import Field, Node, NodeParams, service, timer
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import NEVER_NS

MOST_HANGS = 2
"""A model that has hung so often in a session is not run again in it."""
_LOOK_S = 0.25


class ModelHost(Node):
    """Loads models and runs them for whoever asks, in the order its scheduler decides.

    A model that can't be loaded is refused by name while the others serve. One that hangs takes
    the process down, since a call that computes can't be ended; the host then comes back.
    """

    class Params(NodeParams):
        """What it serves."""

        models: list[str] = Field(
            description="Names of shipped models, or paths of manifests or their folders."
        )
        hang_s: float = Field(
            10.0, gt=0.1, le=3600, description="A model whose one piece takes longer has hung."
        )

    is_replayed = False

    params: Params

    async def on_configure(self) -> None:
        """Load the models; what fails is told to whoever asks for it."""
        self._models: dict[str, OnnxModel | LlamaModel] = {}
        self._has_hung = False
        self._broken: dict[str, str] = {}
        hangs = self._hangs()
        for wanted in self.params.models:
            name = Path(wanted).name if "/" in wanted else wanted
            if hangs.get(name, 0) >= MOST_HANGS:
                self._break(name, f"model {name}: hung {hangs[name]} times; it is not run again")
                continue
            try:
                model = await asyncio.to_thread(
                    self.load, wanted
                )  # varies: before anything is asked
            except ModelError as error:
                self._break(name, str(error))
            else:
                self._models[model.name] = model
        self.log.info("models loaded", models=", ".join(self._models) or "none")

    def load(self, name_or_path: str) -> OnnxModel | LlamaModel:
        """Load one model; called on a thread of its own.

        Raises:
            ModelError: It is unknown, changed, damaged, or fails its trial run.
        """
        return load(Registry().find(name_or_path))

    async def on_cleanup(self) -> None:
        """Let go of the models."""
        for model in self._models.values():
            if isinstance(model, LlamaModel):
                model.close()
        self._models.clear()

    @service("infer")
    async def on_infer(self, question: Infer) -> Inferred:
        """Run a tensor model.

        Raises:
            ModelError: It is not served here, refused the tensors, or failed.
            JobDroppedError: Its deadline passed before its turn, or its lane was full.
        """
        model = self._served(question.model)
        if not isinstance(model, OnnxModel):
            raise ModelError(f"model {model.name}: takes text, not tensors; call `prompt`")
        inputs = arrays_of(question.tensors)
        outputs = await self.compute(
            lambda: model.run(inputs), what=model.name, **_wishes(question)
        )
        return Inferred(tensors=tensors_of(outputs))

    @service("prompt")
    async def on_prompt(self, question: Prompt) -> Completed:
        """Have a language model answer; it makes way between its tokens.

        Raises:
            ModelError: It is not served here, or can't read the request.
            JobDroppedError: Its deadline passed before its turn, or its lane was full.
        """
        model = self._served(question.model)
        if not isinstance(model, LlamaModel):
            raise ModelError(f"model {model.name}: takes tensors, not text; call `infer`")
        answering = model.begin(_request(model.name, question.request))
        answer = await self.compute(answering, what=model.name, **_wishes(question))
        return Completed(answer=json.dumps(answer))

    @timer(_LOOK_S)
    def on_look(self) -> None:
        """End the process if a model has hung: no other way ends its call."""
        now = self.clock.now_ns()
        for job, since_ns in self.scheduler.running():
            if now - since_ns > self.params.hang_s * 1e9 and not self._has_hung:
                self._has_hung = True
                self._note_hang(job.what)
                self.spawn(_die(job.what, (now - since_ns) / 1e9), name="hang")

    def _served(self, name: str) -> OnnxModel | LlamaModel:
        if name in self._broken:
            raise ModelError(self._broken[name])
        if name not in self._models:
            raise ModelError(
                f"{self.name} serves no model {name!r}; {did_you_mean(name, self._models)}"
            )
        return self._models[name]

    def _break(self, name: str, why: str) -> None:
        self._broken[name] = why
        self.log.error(why)

    def _hangs(self) -> dict[str, int]:
        """Return how often models have hung in this session."""
        file = self._hang_file()
        if file is None or not file.exists():
            return {}
        found = json.loads(file.read_text())
        return {str(name): int(count) for name, count in found.items()}

    def _note_hang(self, name: str) -> None:
        if (file := self._hang_file()) is not None:
            hangs = self._hangs()
            file.write_text(json.dumps(hangs | {name: hangs.get(name, 0) + 1}))

    def _hang_file(self) -> Path | None:
        if self.session is None:
            return None
        return self.session.run_dir / f"{self.name.replace('/', '.')}.hangs"


class _Wishes(TypedDict):
    tier: Tier
    deadline_ns: int
    source: str


def _wishes(question: Infer | Prompt) -> _Wishes:
    deadline_ns = question.deadline or NEVER_NS
    return {"tier": question.tier, "deadline_ns": deadline_ns, "source": question.source}


def _request(model: str, text: str) -> Mapping[str, Any]:
    try:
        request = json.loads(text)
    except ValueError as error:
        raise ModelError(f"model {model}: the request is no JSON: {error}") from error
    if not isinstance(request, dict):
        raise ModelError(f"model {model}: the request is no JSON object")
    return request


async def _die(model: str, seconds: float) -> None:
    raise ModelError(f"model {model} has hung for {seconds:.1f} s; this process starts anew")
