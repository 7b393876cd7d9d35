"""Sends a task to the first of its models that may and can serve it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from olympus.models.answers import AnswerCache, key_of
from olympus.models.attempt import Attempt, Value
from olympus.models.blame import BlamelessError
from olympus.models.breaker import Admission, Breaker, Tolerance
from olympus.models.budgets import DAY_S, Budget, Cost, Ledger
from olympus.models.llama import LlamaModel
from olympus.models.onnx import OnnxModel
from olympus.models.purse import Purse
from olympus.models.registry import Registry
from olympus.models.remote import RemoteModel, RemoteRules
from olympus.models.swap import load
from olympus.models.till import Till
from olympus.runtime.errors import ConfigError, ModelError, StoreError, did_you_mean
from olympus.runtime.messages.inference import ModelOrigin

_log = logging.getLogger(__name__)
REMOTE: Final = "remote:"
LONGEST_S: Final = 10 * 366 * DAY_S
"""Ten years: nanoseconds of longer times fit no whole number of 64 bits any more."""
Local = OnnxModel | LlamaModel


class TaskRules(BaseModel):
    """Who serves a task."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    candidates: tuple[str, ...] = Field(min_length=1)
    """Models in order of preference: names, paths, or `remote:NAME`."""
    failures: int = Field(3, ge=1, le=1000)
    slow_ms: float = Field(1e9, gt=0)
    """Finite also where nobody says it: JSON, which rules travel as, has no infinity."""
    rest_s: float = Field(30.0, gt=0, le=LONGEST_S)


class BudgetRules(BaseModel):
    """What a caller may spend in a window of time."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    tokens: float | None = Field(None, gt=0)
    ms: float | None = Field(None, gt=0)
    joules: float | None = Field(None, gt=0)
    money: float | None = Field(None, gt=0)
    window_s: float = Field(DAY_S, gt=0, le=LONGEST_S)


class RouterRules(BaseModel):
    """What a launch file says about models: tasks, budgets, cache, what may leave the machine."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    tasks: dict[str, TaskRules]
    budgets: dict[str, BudgetRules] = Field(default_factory=dict)
    """By caller; `*` for all others."""
    cache_ttl_s: float = Field(default=0.0, ge=0, le=LONGEST_S)
    """How long the same question gets the same answer; 0 asks anew each time."""
    remote: RemoteRules = RemoteRules(daily_budget=0.0)

    @property
    def local_models(self) -> tuple[str, ...]:
        """All candidates of this machine, by name or path."""
        named = (name for task in self.tasks.values() for name in task.candidates)
        return tuple(dict.fromkeys(name for name in named if not name.startswith(REMOTE)))

    def far_models(self) -> dict[str, RemoteModel]:
        """Return all candidates of other machines; opens nothing.

        Raises:
            ConfigError: One is not listed, not allowed, or has no daily budget.
        """
        named = [name for task in self.tasks.values() for name in task.candidates]
        return {
            name: RemoteModel(name.removeprefix(REMOTE), self.remote)
            for name in named
            if name.startswith(REMOTE)
        }


@dataclass(frozen=True, slots=True)
class Routed:
    """An answer, and how it came about."""

    value: Mapping[str, Any]
    model: str
    is_cached: bool = False
    """It was computed for an earlier question that was the same."""
    passed_over: Mapping[str, str] = field(default_factory=dict)
    """Better candidates, and why they did not serve."""
    origin: ModelOrigin = field(default_factory=ModelOrigin)
    """Of a tensor model of this machine."""


class Router:
    """Serves tasks; one object for all callers of a process."""

    def __init__(
        self,
        rules: RouterRules,
        *,
        models: Callable[[str], Local] | None = None,
        cache: Path | None = None,
        now_ns: Callable[[], int] = time.monotonic_ns,  # varies: a node gives its own
        joules: Callable[[], float] | None = None,
        purse: Purse | None = None,
    ) -> None:
        """Prepare.

        Args:
            rules: From the launch file.
            models: Gives a model of this machine by name or path, or raises ModelError; when left
                out, models are found by the registry and loaded when they are first needed.
            cache: Folder for remembered answers; needed if the rules want any.
            now_ns: Robot time.
            joules: Reads the board's energy counter, where it has one.
            purse: Remembers the money of far models beyond this process; it and `now_ns` go by
                Unix time.

        Raises:
            ConfigError: A candidate is remote and that is not allowed, or there is no cache folder.
        """
        self._rules, self._now_ns, self._joules = rules, now_ns, joules
        self._loaded: dict[str, Local] = {}
        self._models = models or self._load
        self._breakers: dict[tuple[str, str], Breaker] = {}
        if rules.cache_ttl_s and cache is None:
            raise ConfigError("cache_ttl_s needs a folder for the cache")
        self._cache = _cache_in(cache, rules.cache_ttl_s, now_ns)
        budgets = {name: Budget(**one.model_dump()) for name, one in rules.budgets.items()}
        self._ledger = Ledger(budgets, now_ns)
        self._remote = rules.far_models()
        daily = rules.remote.daily_budget
        self._till = Till(daily, self._ledger, now_ns, purse if self._remote else None)

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
        routing = self.routing(task, request, caller=caller)
        try:
            attempt = next(routing)
            while True:
                try:
                    value = _carried_out(attempt)
                except ModelError as error:
                    attempt = routing.throw(error)
                else:
                    attempt = routing.send(value)
        except StopIteration as done:
            routed: Routed = done.value
            return routed
        finally:
            routing.close()

    def routing(
        self, task: str, request: Value, *, caller: str
    ) -> Generator[Attempt, Value, Routed]:
        """Serve a task with whoever asks doing the work, such as a scheduler.

        Args:
            task: Its name in the rules.
            request: Tensors by name, or what `LlamaModel.begin` takes.
            caller: Who asks, for the budget.

        Yields:
            What is to be carried out next; send what came of it, or throw the ModelError that it
            raised. Closed instead, nothing is held against the model.

        Returns:
            The answer.

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
            admission = breaker.admit()
            if admission is None:
                passed_over[name] = f"its circuit is {breaker.state}"
                continue
            attempt = Attempt(name, request, self._joules)
            try:
                kept = self._prepared(attempt, caller)
                value = (yield attempt) if kept is None else kept
            except ModelError as error:
                _judge(admission, attempt, error)
                self._count(attempt, caller)  # what fails was computed all the same
                passed_over[name] = str(error)
                continue
            except BaseException:
                admission.given_up()  # says nothing about the model, unless it says so later
                attempt.on_late = partial(_judge, admission, attempt)
                attempt.on_step = partial(self._count, attempt, caller)
                self._count(attempt, caller)
                raise
            self._note(attempt, caller, admission, value if kept is None else None)
            return Routed(value, name, kept is not None, passed_over, attempt.origin)
        told = "; ".join(f"{name}: {why}" for name, why in passed_over.items())
        raise ModelError(f"task {task}: no model serves it: {told}")

    def ready(self, name: str) -> None:
        """Load a model of this machine now rather than when it is first asked.

        Raises:
            ModelError: It can't be loaded.
        """
        self._models(name)

    def state(self, task: str) -> dict[str, str]:
        """Tell the circuits of a task's candidates: closed, open, half-open."""
        rules = self._rules.tasks[task]
        return {name: self._breaker(task, name, rules).state for name in rules.candidates}

    def spent(self, caller: str) -> Cost:
        """Tell what a caller has spent in its window."""
        return self._ledger.spent(caller)

    def close(self) -> None:
        """Let models and cache go; calls of far models that are under way are cut off."""
        for remote in self._remote.values():
            remote.close()
        for model in self._loaded.values():
            if isinstance(model, LlamaModel):
                model.close()
        if self._cache is not None:
            self._cache.close()

    def _prepared(self, attempt: Attempt, caller: str) -> Value | None:
        """Give an attempt its model, or return the answer that is remembered already."""
        name = attempt.name
        if (remote := self._remote.get(name)) is not None:
            self._till.check()
            attempt.use(remote, partial(self._till.call, caller))
            return None
        model = self._models(name)
        if isinstance(model, OnnxModel):
            attempt.origin = model.origin
        if self._cache is not None:
            attempt.key = key_of(model.manifest.model_file.sha256, attempt.request)
            kept: Value | None = self._cache.get(attempt.key)
            if kept is not None:
                return kept
        attempt.use(model)
        attempt.may_begin = partial(self._ledger.check, caller)
        return None

    def _note(
        self, attempt: Attempt, caller: str, admission: Admission, value: Value | None
    ) -> None:
        """Put down what an attempt cost, and remember its answer; None was remembered before."""
        if value is None:
            admission.given_up()
            return
        _judge(admission, attempt, None)
        self._count(attempt, caller)
        is_whole = value.get("ending") != "time"  # how far it got by then is chance
        if attempt.key and self._cache and is_whole:
            self._cache.put(attempt.key, value)

    def _count(self, attempt: Attempt, caller: str) -> None:
        """Put down what an attempt cost; one far away is by the thread that made the call."""
        if not attempt.is_remote:
            self._ledger.note(caller, attempt.take())

    def _load(self, name: str) -> Local:
        if name not in self._loaded:
            self._loaded[name] = load(Registry().find(name))
        return self._loaded[name]

    def _breaker(self, task: str, name: str, rules: TaskRules) -> Breaker:
        if (task, name) not in self._breakers:
            tolerance = Tolerance(rules.failures, rules.slow_ms, rules.rest_s)
            self._breakers[task, name] = Breaker(tolerance, self._now_ns)
        return self._breakers[task, name]


def _cache_in(folder: Path | None, ttl_s: float, now_ns: Callable[[], int]) -> AnswerCache | None:
    """Open the memory of answers, if there is to be one; models serve without it too."""
    if not folder or not ttl_s:
        return None
    try:
        return AnswerCache(folder, ttl_s, now_ns)
    except StoreError as error:
        _log.error("no answer is remembered: %s", error)
        return None


def _judge(admission: Admission, attempt: Attempt, error: ModelError | None) -> None:
    """Hold against a model what is its fault."""
    if error is None:
        admission.succeeded(attempt.cost.ms)
    elif isinstance(error, BlamelessError):
        admission.given_up()
    else:
        admission.failed()


def _carried_out(attempt: Attempt) -> Value:
    """Do all the work of an attempt here and now."""
    try:
        while attempt.step():
            pass
        return attempt.result()
    finally:
        attempt.close()
