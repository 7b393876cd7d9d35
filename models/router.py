"""Sends a task to the first of its models that may and can serve it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from olympus.models.answers import AnswerCache, key_of
from olympus.models.breaker import Breaker, Tolerance
from olympus.models.budgets import DAY_S, Budget, BudgetError, Cost, Ledger
from olympus.models.llama import LlamaModel
from olympus.models.onnx import OnnxModel
from olympus.models.registry import Registry
from olympus.models.remote import RemoteModel, RemoteRules
from olympus.models.swap import load
from olympus.runtime.errors import ConfigError, ModelError, did_you_mean

REMOTE: Final = "remote:"
_REMOTE_CALLER: Final = "@remote"
Model = OnnxModel | LlamaModel | RemoteModel


class TaskRules(BaseModel):
    """Who serves a task."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    candidates: tuple[str, ...] = Field(min_length=1)
    """Models in order of preference: names, paths, or `remote:NAME`."""
    failures: int = Field(3, ge=1, le=1000)
    slow_ms: float = Field(float("inf"), gt=0)
    rest_s: float = Field(30.0, gt=0)


class BudgetRules(BaseModel):
    """What a caller may spend in a window of time."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    tokens: float | None = Field(None, gt=0)
    ms: float | None = Field(None, gt=0)
    joules: float | None = Field(None, gt=0)
    money: float | None = Field(None, gt=0)
    window_s: float = Field(DAY_S, gt=0)


class RouterRules(BaseModel):
    """What a launch file says about models: tasks, budgets, cache, what may leave the machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    tasks: dict[str, TaskRules]
    budgets: dict[str, BudgetRules] = Field(default_factory=dict)
    """By caller; `*` for all others."""
    cache_ttl_s: float = Field(0.0, ge=0)
    """How long the same question gets the same answer; 0 asks anew each time."""
    remote: RemoteRules = RemoteRules(daily_budget=0.0)


@dataclass(frozen=True, slots=True)
class Routed:
    """An answer, and how it came about."""

    value: Mapping[str, Any]
    model: str
    is_cached: bool = False
    """It was computed for an earlier question that was the same."""
    passed_over: Mapping[str, str] = field(default_factory=dict)
    """Better candidates, and why they did not serve."""


class Router:
    """Serves tasks; one object for all callers of a process."""

    def __init__(
        self,
        rules: RouterRules,
        *,
        registry: Registry | None = None,
        cache: Path | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,  # varies: a node gives its own
        joules: Callable[[], float] | None = None,
    ) -> None:
        """Prepare; models are loaded when they are first needed.

        Args:
            rules: From the launch file.
            registry: Where models are found; the shipped ones when left out.
            cache: Folder for remembered answers; needed if the rules want any.
            now_ns: Robot time.
            joules: Reads the board's energy counter, where it has one.

        Raises:
            ConfigError: A candidate is remote and that is not allowed, or there is no cache folder.
        """
        self._rules, self._registry = rules, registry or Registry()
        self._now_ns, self._joules = now_ns, joules
        self._models: dict[str, Model] = {}
        self._breakers: dict[tuple[str, str], Breaker] = {}
        if rules.cache_ttl_s and cache is None:
            raise ConfigError("cache_ttl_s needs a folder for the cache")
        self._cache = (
            AnswerCache(cache, rules.cache_ttl_s, now_ns) if cache and rules.cache_ttl_s else None
        )
        budgets = {name: Budget(**one.model_dump()) for name, one in rules.budgets.items()}
        budgets[_REMOTE_CALLER] = Budget(money=rules.remote.daily_budget)
        self._ledger = Ledger(budgets, now_ns)
        for task in rules.tasks.values():
            for name in task.candidates:
                if name.startswith(REMOTE):
                    RemoteModel(name.removeprefix(REMOTE), rules.remote)

    def call(self, task: str, request: Mapping[str, Any], *, caller: str) -> Routed:
        """Serve a task.

        Args:
            task: Its name in the rules.
            request: Tensors by name, or what `LlamaModel.begin` takes.
            caller: Who asks, for the budget.

        Raises:
            ModelError: The budget is spent, or no candidate serves; names each and why.
            ConfigError: The task is unknown.
        """
        rules = self._rules.tasks.get(task)
        if rules is None:
            raise ConfigError(f"task {task!r}: {did_you_mean(task, self._rules.tasks)}")
        self._ledger.check(caller)
        passed_over: dict[str, str] = {}
        for name in rules.candidates:
            breaker = self._breaker(task, name, rules)
            if not breaker.admit():
                passed_over[name] = f"its circuit is {breaker.state}"
                continue
            try:
                value, is_cached = self._serve(name, request, caller, breaker)
            except ModelError as error:
                passed_over[name] = str(error)
                continue
            return Routed(value, name, is_cached, passed_over)
        told = "; ".join(f"{name}: {why}" for name, why in passed_over.items())
        raise ModelError(f"task {task}: no model serves it: {told}")

    def state(self, task: str) -> dict[str, str]:
        """Tell the circuits of a task's candidates: closed, open, half-open."""
        rules = self._rules.tasks[task]
        return {name: self._breaker(task, name, rules).state for name in rules.candidates}

    def spent(self, caller: str) -> Cost:
        """Tell what a caller has spent in its window."""
        return self._ledger.spent(caller)

    def close(self) -> None:
        """Let models and cache go."""
        for model in self._models.values():
            if isinstance(model, LlamaModel):
                model.close()
        if self._cache is not None:
            self._cache.close()

    def _serve(
        self, name: str, request: Mapping[str, Any], caller: str, breaker: Breaker
    ) -> tuple[Mapping[str, Any], bool]:
        began, energy = time.perf_counter_ns(), self._joules() if self._joules else 0.0
        try:
            model = self._model(name)
            key = self._key(model, request)
            if key and self._cache and (kept := self._cache.get(key)) is not None:
                breaker.given_up()
                return kept, True
            if isinstance(model, RemoteModel):
                self._ledger.check(_REMOTE_CALLER)
            value, tokens, money = _run(model, request)
        except BudgetError:
            breaker.given_up()  # says nothing about the model
            raise
        except ModelError:
            breaker.failed()
            raise
        except BaseException:
            breaker.given_up()
            raise
        took_ms = (time.perf_counter_ns() - began) / 1e6
        breaker.succeeded(took_ms)
        joules = self._joules() - energy if self._joules else 0.0
        self._ledger.note(caller, Cost(tokens, took_ms, joules, money))
        if money:
            self._ledger.note(_REMOTE_CALLER, Cost(money=money))
        if key and self._cache:
            self._cache.put(key, value)
        return value, False

    def _model(self, name: str) -> Model:
        if name not in self._models:
            self._models[name] = (
                RemoteModel(name.removeprefix(REMOTE), self._rules.remote)
                if name.startswith(REMOTE)
                else load(self._registry.find(name))
            )
        return self._models[name]

    def _key(self, model: Model, request: Mapping[str, Any]) -> bytes | None:
        """Return what an answer is kept under; None for a model that may answer differently."""
        if self._cache is None or isinstance(model, RemoteModel):
            return None
        return key_of(model.manifest.model_file.sha256, request)

    def _breaker(self, task: str, name: str, rules: TaskRules) -> Breaker:
        if (task, name) not in self._breakers:
            tolerance = Tolerance(rules.failures, rules.slow_ms, rules.rest_s)
            self._breakers[task, name] = Breaker(tolerance, self._now_ns)
        return self._breakers[task, name]


def _run(model: Model, request: Mapping[str, Any]) -> tuple[Mapping[str, Any], float, float]:
    """Run a model; return what it gave, tokens and money."""
    if isinstance(model, OnnxModel):
        return model.run(request), 0.0, 0.0
    if isinstance(model, RemoteModel):
        answer = model.complete(request)
        return {"text": answer.text}, float(answer.tokens), answer.money
    answering = model.begin(request)
    try:
        while answering.step():
            pass
        result = answering.result()
    finally:
        answering.close()
    return result, float(str(result["tokens"])) + float(str(result["prompt_tokens"])), 0.0
