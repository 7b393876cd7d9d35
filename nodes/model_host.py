"""The model host: one process whose scheduler serves the models of all nodes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from olympus.models.attempt import Attempt
from olympus.models.energy import board_energy
from olympus.models.llama import LlamaModel
from olympus.models.onnx import OnnxModel
from olympus.models.purse import purse_of
from olympus.models.registry import Registry, StoredModel
from olympus.models.router import Routed, Router, RouterRules
from olympus.models.swap import load
from olympus.nodes.far_calls import FarCalls
from olympus.nodes.hang_watch import LOOK_S, MOST_HANGS, HangWatch
from olympus.nodes.load_marks import LoadMarks
from olympus.nodes.model_questions import request_of, wishes_of
from olympus.nodes.served_models import AnyModel, ServedModels
from olympus.runtime.errors import ModelError, ParamError
from olympus.runtime.messages import Ack
from olympus.runtime.messages.inference import (
    Completed,
    Infer,
    Inferred,
    Prompt,
    SwapModel,
    answer_of,
    arrays_of,
    tensors_of,
)
from olympus.runtime.node import Field, Node, NodeParams, service, timer
from olympus.runtime.scheduler import NEVER_NS

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
            5.0,
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
    _is_serving = False

    @classmethod
    def models_kept(cls, params: Params) -> tuple[str, ...]:
        """Keep all that it serves."""
        return params.served()

    async def on_configure(self) -> None:
        """Load the models; what fails is told to whoever asks for it.

        Raises:
            ConfigError: A far model is not allowed, or two models have the same name.
        """
        self._router = await self._aside(self._new_router)  # it reads files, and may write one
        self._far = FarCalls(self.clock)
        self._quick_ns, self._pass_now = round(self.params.quick_ms * 1e6), self.scheduler.pass_now
        self._hangs = HangWatch(
            self.clock,
            self.scheduler.running,
            hang_s=self.params.hang_s,
            file=self._run_file("hangs"),
            abort=self._abort,
            end=lambda name, seconds: self.spawn(_die(name, seconds), name="hang"),
        )
        hangs, marks = self._hangs.counts(), LoadMarks(self._run_file("loading"))
        self._models = ServedModels(self.name, self.load, marks)
        for wanted in self.params.served():
            name = await self._aside(self._models.name, wanted)
            if hangs.get(name, 0) >= MOST_HANGS:
                self._models.give_up(name, _hung(name, hangs[name]))
                self.log.error(_hung(name, hangs[name]))
                continue
            try:
                await self._aside(self._models.add, wanted)
            except ModelError as error:
                self.log.error(str(error))
        self._is_serving = True
        self.log.info("models loaded", models=", ".join(self._models) or "none")

    def load(self, stored: StoredModel) -> AnyModel:
        """Load one version of a model; called on a thread of its own.

        Raises:
            ModelError: It is changed, damaged, or fails its trial run.
        """
        return load(stored, trial_s=self.params.hang_s)

    def on_params(self, changed: set[str]) -> None:
        """Change nothing of what it serves by, once it serves.

        Raises:
            ParamError: It has its models already.
        """
        if changed and self._is_serving:
            raise ParamError(
                f"{self.name}.{min(changed)}: can't change while it serves; set it in the launch "
                "file, or clean the node up and configure it anew; another version of a model is "
                "taken into use by `olympus models swap`"
            )

    async def on_activate(self) -> None:
        """See from now on that nothing hangs."""
        self._hangs.start(asyncio.get_running_loop())

    async def on_deactivate(self) -> None:
        """Look no longer."""
        self._hangs.close()

    async def on_cleanup(self) -> None:
        """Let go of the models."""
        self._is_serving = False
        self._models.close()
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
                origin=routed.origin,
            )
        model = self._models.get(question.model)
        if not isinstance(model, OnnxModel):
            raise ModelError(f"model {model.name}: takes text, not tensors; call `prompt`")
        work = model.begin(arrays_of(question.tensors))
        outputs = await self.scheduler.run_quick(
            work, self._quick_ns, what=model.name, **wishes_of(question)
        )
        return answer_of(outputs, model.origin)

    def infer_at_once(self, question: Infer) -> Generator[Inferred, None, None]:
        """Run a tensor model that is quick here and now, unless it has to take its turn.

        Yields:
            Its answer, if it was run. What the scheduler writes down comes after that.

        Raises:
            ModelError: It refused the tensors, or failed.
        """
        name = question.model
        if (model := self._models.quick(name)) is None:
            return
        inputs = arrays_of(question.tensors)
        deadline_ns = question.deadline or NEVER_NS
        passage = self._pass_now(name, self._quick_ns, question.tier, deadline_ns, question.source)
        if passage is None:
            return
        try:
            outputs = model.run(inputs)
            passage.done()
            yield answer_of(outputs, model.origin)
        finally:
            passage.leave()

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
        model = self._models.get(question.model)
        if not isinstance(model, LlamaModel):
            raise ModelError(f"model {model.name}: takes tensors, not text; call `infer`")
        answering = model.begin(request)
        answer = await self.compute(answering, what=model.name, **wishes_of(question))
        return Completed(answer=json.dumps(answer))

    @service("swap")
    async def on_swap(self, wish: SwapModel) -> Ack:
        """Take another version of a model into use, or the one before; work goes on meanwhile."""
        try:
            model = self._models.swappable(wish.model)
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
        self._models.free_retired()

    def _abort(self, name: str, seconds: float) -> None:
        """Have a model that has hung give up; after `MOST_HANGS` it is not run again."""
        self.log.error(f"model {name} has hung for {seconds:.1f} s; its run is aborted")
        if (hangs := self._hangs.counts().get(name, 0)) >= MOST_HANGS:
            self._models.give_up(name, _hung(name, hangs))
        self._models.abort(name, f"it has hung for {seconds:.1f} s")

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
        return await self.compute(
            attempt, what=self._models.names[attempt.name], **wishes_of(question)
        )

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
            models=lambda name: self._models.get(self._models.names[name]),
            cache=Path(folder) if folder and rules.cache_ttl_s else None,
            now_ns=self.clock.now_ns,
            joules=joules,
            purse=purse_of(self.session.name, self.name) if self.session else None,
        )

    def _run_file(self, ending: str) -> Path | None:
        session, name = self.session, self.name.replace("/", ".")
        return None if session is None else session.run_dir / f"{name}.{ending}"


def _hung(name: str, times: int) -> str:
    return f"model {name}: hung {times} times; it is not run again until the next launch"


async def _die(model: str, seconds: float) -> None:
    raise ModelError(f"model {model} has hung for {seconds:.1f} s; this process starts anew")
