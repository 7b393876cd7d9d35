"""The model host: one process whose scheduler serves the models of all nodes."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from olympus.models.attempt import Attempt
from olympus.models.energy import board_energy
from olympus.models.llama import LlamaModel
from olympus.models.onnx import OPENER, OnnxModel, OnnxRun
from olympus.models.purse import purse_of
from olympus.models.registry import Registry, StoredModel
from olympus.models.router import Routed, Router, RouterRules
from olympus.models.swap import Swappable, load, self_test
from olympus.nodes.far_calls import FarCalls
from olympus.nodes.hang_watch import LOOK_S, MOST_HANGS, HangWatch
from olympus.nodes.load_marks import LoadMarks
from olympus.nodes.model_questions import request_of, wishes_of
from olympus.runtime.errors import ConfigError, ModelError, did_you_mean
from olympus.runtime.messages import Ack
from olympus.runtime.messages.inference import (
    Completed,
    Infer,
    Inferred,
    ModelOrigin,
    Prompt,
    SwapModel,
    answer_of,
    arrays_of,
    tensors_of,
)
from olympus.runtime.node import Field, Node, NodeParams, service, timer

T = TypeVar("T")
TASK = "task:"
"""`task:plan` asks for whichever model serves that task."""


class ModelHost(Node):
    """Loads models and runs them for whoever asks, in the order its scheduler decides.

    A model that can't be loaded is refused by name while the others serve. One that hangs is
    aborted; where that does not help it takes the process down and the host comes back. Where the
    launch file names tasks, a router chooses who serves them and keeps to their budgets.
    """

    class Params(NodeParams):
        """What it serves."""

        models: list[str] = Field(
            description="Names of shipped models, or paths of manifests or their folders."
        )
        router: RouterRules = Field(
            default=RouterRules(tasks={}),
            description="Which models serve a task, budgets, and whether any may be far away.",
        )
        cache: str = Field(
            "", description="Folder of remembered answers; empty: in the session's run folder."
        )
        hang_s: float = Field(
            10.0, gt=0.1, le=3600, description="A model whose one piece takes longer has hung."
        )
        quick_ms: float = Field(
            2.0,
            ge=0,
            le=100,
            description="How long a model may hold up the event loop: where 7 of its last 8 runs "
            "took no longer and nothing else waits it runs there. 0: always on a worker thread.",
        )

        def before_start(self) -> list[str]:
            """Return which models are missing: the others are served. A far one may be refused."""
            self.router.far_models()
            return Registry().missing(self.served())

        def served(self) -> tuple[str, ...]:
            """Return all models that are named, each once."""
            return tuple(dict.fromkeys((*self.models, *self.router.local_models)))

    is_replayed = False
    params: Params

    @classmethod
    def models_kept(cls, params: Params) -> tuple[str, ...]:
        """Keep all that it serves."""
        return params.served()

    async def on_configure(self) -> None:
        """Load the models; what fails is told to whoever asks for it.

        Raises:
            ConfigError: A far model is not allowed, or two models have the same name.
        """
        self._models: dict[str, Swappable[OnnxModel | LlamaModel]] = {}
        self._origins = defaultdict[str, ModelOrigin](ModelOrigin)  # by the sha256 of the file
        self._broken: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._router = await self._aside(self._new_router)  # it reads files, and may write one
        self._far = FarCalls(self.clock)
        self._quick_ns = round(self.params.quick_ms * 1e6)
        self._hangs = HangWatch(
            self.clock,
            self.scheduler.running,
            hang_s=self.params.hang_s,
            file=self._run_file("hangs"),
            abort=self._abort,
            end=lambda name, seconds: self.spawn(_die(name, seconds), name="hang"),
        )
        hangs, self._marks = self._hangs.counts(), LoadMarks(self._run_file("loading"))
        for wanted in self.params.served():
            name = await self._aside(_name_of, wanted)
            if name in self._names.values():
                raise ConfigError(f"{self.name}: two models are called {name!r}; rename one")
            self._names[wanted] = name
            if hangs.get(name, 0) >= MOST_HANGS:
                self._break(name, _hung(name, hangs[name]))
                continue
            try:
                self._models[name] = await self._aside(self._first, wanted)
            except ModelError as error:
                self._break(name, str(error))
        self.log.info("models loaded", models=", ".join(self._models) or "none")

    def load(self, stored: StoredModel) -> OnnxModel | LlamaModel:
        """Load one version of a model; called on a thread of its own.

        Raises:
            ModelError: It is changed, damaged, or fails its trial run.
        """
        digest = stored.manifest.model_file.sha256
        self._origins[digest] = ModelOrigin(loader=OPENER, place=stored.place, digest=digest)
        return load(stored, trial_s=self.params.hang_s)

    async def on_activate(self) -> None:
        """See from now on that nothing hangs."""
        self._hangs.start(asyncio.get_running_loop())

    async def on_deactivate(self) -> None:
        """Look no longer."""
        self._hangs.close()

    async def on_cleanup(self) -> None:
        """Let go of the models."""
        for model in self._models.values():
            for version in model.versions():
                if isinstance(version, LlamaModel):
                    version.close()
        self._models.clear()
        self._far.close()
        self._router.close()

    @service("infer", at_once="infer_at_once")
    async def on_infer(self, question: Infer) -> Inferred:
        """Run a tensor model.

        Raises:
            ModelError: It is not served here, refused the tensors, or failed.
            JobDroppedError: Its deadline passed before its turn, or its lane was full.
        """
        if question.model.startswith(TASK):
            routed = await self._routed(arrays_of(question.tensors), question)
            return Inferred(
                tensors=tensors_of(routed.value),
                model=routed.model,
                is_cached=routed.is_cached,
                passed_over=dict(routed.passed_over),
                origin=self._origins[routed.digest],
            )
        model, work = self._readied(question)
        outputs = await self.scheduler.run_quick(
            work, self._quick_ns, what=model.name, **wishes_of(question)
        )
        return answer_of(outputs, self._origins[model.digest])

    def infer_at_once(self, question: Infer) -> Inferred | None:
        """Run a tensor model that is quick here and now; None where it has to take its turn.

        Raises:
            ModelError: As for `on_infer`.
            JobDroppedError: As for `on_infer`.
        """
        scheduler = self.scheduler
        if not scheduler.can_run_now(question.model, self._quick_ns):
            return None
        model, work = self._readied(question)
        outcome = scheduler.run_now(work, what=model.name, **wishes_of(question))
        if outcome is None:
            return None
        return answer_of(outcome.unwrap(), self._origins[model.digest])

    @service("prompt")
    async def on_prompt(self, question: Prompt) -> Completed:
        """Have a language model answer; it makes way between its tokens.

        Raises:
            ModelError: It is not served here, or can't read the request.
            JobDroppedError: Its deadline passed before its turn, or its lane was full.
        """
        request = request_of(question.model, question.request)
        if question.model.startswith(TASK):
            routed = await self._routed(request, question)
            how = {"is_cached": routed.is_cached, "passed_over": routed.passed_over}
            return Completed(answer=json.dumps({**routed.value, "model": routed.model, **how}))
        model = self._served(question.model)
        if not isinstance(model, LlamaModel):
            raise ModelError(f"model {model.name}: takes tensors, not text; call `infer`")
        answering = model.begin(request)
        answer = await self.compute(answering, what=model.name, **wishes_of(question))
        return Completed(answer=json.dumps(answer))

    @service("swap")
    async def on_swap(self, wish: SwapModel) -> Ack:
        """Take another version of a model into use, or the one before; work goes on meanwhile."""
        try:
            model = self._swappable(wish.model)
            if wish.to:
                title = (await self._aside(model.swap, Registry().find(wish.to))).manifest.title
            else:
                title = (await self._aside(model.roll_back)).manifest.title
        except ModelError as error:
            self.log.error(str(error))
            return Ack(ok=False, text=str(error))
        self.log.info(f"{title} is in use")
        return Ack(ok=True, text=f"{title} is in use")

    @timer(LOOK_S)
    def on_look(self) -> None:
        """Free what is out of use."""
        for model in self._models.values():
            _free(model.retired)

    def _abort(self, name: str, seconds: float) -> None:
        """Have a model that has hung give up; after `MOST_HANGS` it is not run again."""
        self.log.error(f"model {name} has hung for {seconds:.1f} s; its run is aborted")
        if (hangs := self._hangs.counts().get(name, 0)) >= MOST_HANGS:
            self._broken[name] = _hung(name, hangs)
        if (model := self._models.get(name)) is not None:
            for version in model.versions():
                if isinstance(version, OnnxModel):
                    version.abort(f"it has hung for {seconds:.1f} s")

    def _readied(self, question: Infer) -> tuple[OnnxModel, OnnxRun]:
        model = self._served(question.model)
        if not isinstance(model, OnnxModel):
            raise ModelError(f"model {model.name}: takes text, not tensors; call `prompt`")
        return model, model.begin(arrays_of(question.tensors))

    async def _routed(self, request: Mapping[str, Any], question: Infer | Prompt) -> Routed:
        """Have the router's candidates tried, each attempt in its turn.

        Raises:
            ModelError: None serves, or the caller's budget is spent.
            JobDroppedError: The deadline passed before an attempt's turn, or its lane was full.
        """
        task, caller = question.model.removeprefix(TASK), question.source
        routing = self._router.routing(task, request, caller=caller)
        try:
            attempt = next(routing)
            while True:
                try:
                    value = await self._carried_out(attempt, question)
                except ModelError as error:
                    attempt = routing.throw(error)
                else:
                    attempt = routing.send(value)
        except StopIteration as done:
            routed: Routed = done.value
            return routed
        finally:
            routing.close()

    async def _carried_out(self, attempt: Attempt, question: Infer | Prompt) -> Mapping[str, Any]:
        if attempt.is_remote:
            return await self._far.carry_out(attempt, question)
        return await self.compute(attempt, what=self._names[attempt.name], **wishes_of(question))

    @staticmethod
    async def _aside(work: Callable[..., T], *words: Any) -> T:
        """Do what comes before anything is asked, or beside it, off the event loop."""
        return await asyncio.to_thread(work, *words)  # varies: it only loads and swaps

    def _new_router(self) -> Router:
        rules = self.params.router
        folder = self.params.cache or self._run_file("answers")
        joules = board_energy()
        if joules is None and any(one.joules for one in rules.budgets.values()):
            self.log.warning("this board counts no energy: budgets of joules are not kept")
        return Router(
            rules,
            models=lambda name: self._served(self._names[name]),
            cache=Path(folder) if folder and rules.cache_ttl_s else None,
            now_ns=self.clock.now_ns,
            joules=joules,
            purse=purse_of(self.session.name, self.name) if self.session else None,
        )

    def _first(self, wanted: str) -> Swappable[OnnxModel | LlamaModel]:
        with self._marks.loading(self._names[wanted]):
            return Swappable(Registry().find(wanted), self.load, self_test)

    def _served(self, name: str) -> OnnxModel | LlamaModel:
        return self._swappable(name).current

    def _swappable(self, name: str) -> Swappable[OnnxModel | LlamaModel]:
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

    def _run_file(self, ending: str) -> Path | None:
        session, name = self.session, self.name.replace("/", ".")
        return None if session is None else session.run_dir / f"{name}.{ending}"


def _hung(name: str, times: int) -> str:
    return f"model {name}: hung {times} times; it is not run again until the next launch"


def _name_of(wanted: str) -> str:
    """Return a model's name in its manifest; where that can't be read, the end of its path."""
    try:
        return Registry().find(wanted).name
    except ModelError:
        return Path(wanted).name


def _free(retired: list[OnnxModel | LlamaModel]) -> None:
    """Free versions that are out of use once no text of theirs is under way."""
    for model in list(retired):
        if isinstance(model, LlamaModel):
            if not model.is_idle:
                continue
            model.close()
        retired.remove(model)


async def _die(model: str, seconds: float) -> None:
    raise ModelError(f"model {model} has hung for {seconds:.1f} s; this process starts anew")
