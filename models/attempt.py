"""One try of one candidate at serving a task: work for a scheduler, and what it used."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from olympus.models.blame import UnfitError
from olympus.models.budgets import Cost
from olympus.models.llama import LlamaModel
from olympus.models.llama_request import Answering, Embedding
from olympus.models.onnx import OnnxModel, OnnxRun
from olympus.models.remote import RemoteModel
from olympus.models.till import Paying
from olympus.runtime.errors import ModelError
from olympus.runtime.messages.inference import ModelOrigin
from olympus.runtime.scheduler.work import Abortable

Model = OnnxModel | LlamaModel | RemoteModel
Value = Mapping[str, Any]


class Attempt:
    """A model at work on a request; the scheduler's `Stepped`.

    A language model does a token or a micro-batch a step, any other model all in one. Only the time
    in which it computes counts, not that in which it makes way.
    """

    def __init__(self, name: str, request: Value, joules: Callable[[], float] | None) -> None:
        """Plan it; `use` says with what.

        Args:
            name: The candidate's.
            request: Tensors by name, or what `LlamaModel.begin` takes.
            joules: Reads the board's energy counter, where it has one.
        """
        self.name, self.request = name, request
        self.key: bytes | None = None
        """What its answer may be remembered under."""
        self.origin = ModelOrigin()
        """Of a tensor model of this machine."""
        self._joules = joules
        self._model: Model | None = None
        self._paying: Paying | None = None
        self.may_begin: Callable[[], None] | None = None
        """Asked when its turn has come, on the thread that computes: it may have waited long."""
        self.on_late: Callable[[ModelError | None], None] | None = None
        """Told how a far call ended, by its thread, where nobody waited for that any more."""
        self.on_step: Callable[[], None] | None = None
        """Told by its thread after each step that is done though nobody waits for it any more."""
        self._taken, self._lock = Cost(), threading.Lock()
        self._texts: Answering | Embedding | None = None
        self._run: OnnxRun | None = None
        self._value: Value = {}
        self._tokens, self._money = 0.0, 0.0
        self._ns, self._energy = 0, 0.0

    def use(self, model: Model, paying: Paying | None = None) -> None:
        """Take the model that will do it.

        Args:
            model: It.
            paying: Pays for it, on the thread that makes the call; only for one that is far away.

        Raises:
            UnfitError: The model can't read the request.
        """
        self._model, self._paying = model, paying
        try:
            if isinstance(model, RemoteModel):
                model.check(self.request)
            if isinstance(model, LlamaModel):
                self._texts = model.begin(self.request)
            elif isinstance(model, OnnxModel):
                model.check(self.request)
                self._run = model.begin(self.request)
        except ModelError as error:
            raise UnfitError(str(error)) from error

    @property
    def is_remote(self) -> bool:
        """Whether it waits for another machine, and so should keep no core."""
        return isinstance(self._model, RemoteModel)

    @property
    def cost(self) -> Cost:
        """What it has used so far."""
        tokens = self._tokens if self._texts is None else float(self._texts.counted)
        return Cost(tokens, self._ns / 1e6, self._energy, self._money)

    def take(self) -> Cost:
        """Return what it has used since this was last asked; any thread may ask."""
        with self._lock:
            so_far, self._taken = self._taken, self.cost
            return self._taken.less(so_far)

    def step(self) -> bool:
        """Do one piece.

        Raises:
            ModelError: The model fails, or the budget is spent.
        """
        if self.may_begin is not None:
            self.may_begin()
            self.may_begin = None
        if self._paying is None or not isinstance(self._model, RemoteModel):
            return self._timed()
        try:
            with self._paying(self._model.most(self.request), lambda: self.cost):
                more = self._timed()
        except ModelError as error:
            self._tell(error)
            raise
        self._tell(None)
        return more

    def _tell(self, error: ModelError | None) -> None:
        if self.on_late is not None:
            self.on_late(error)

    def _timed(self) -> bool:
        before_j = self._joules() if self._joules else 0.0
        began_ns = time.perf_counter_ns()
        try:
            return self._piece()
        finally:
            self._ns += time.perf_counter_ns() - began_ns
            self._energy += self._joules() - before_j if self._joules else 0.0
            if self.on_step is not None:
                self.on_step()

    def result(self) -> Value:
        """Return tensors by name, or the text and how it came about."""
        if self._texts is not None:
            self._value = self._texts.result()
        return self._value

    def close(self) -> None:
        """Give up."""
        if self._texts is not None:
            self._texts.close()

    def abort(self) -> None:
        """Make the step that computes raise soon, where the model can."""
        work = self._run or self._texts
        if isinstance(work, Abortable):
            work.abort()

    def _ran(self, run: OnnxRun) -> Value:
        try:
            return run()
        except ModelError as error:
            for name, array in self.request.items():  # the model took them: they are arrays
                if array.dtype.kind == "f" and not np.isfinite(array).all():
                    raise UnfitError(f"{error}; input {name} holds NaN or infinity") from error
            raise

    def _on_bill(self, cost: Cost) -> None:
        self._tokens, self._money = cost.tokens, cost.money

    def _piece(self) -> bool:
        model = self._model
        if self._texts is not None:
            return self._texts.step()
        if isinstance(model, RemoteModel):
            self._value = {"text": model.complete(self.request, self._on_bill)}
        elif self._run is not None:
            self._value = self._ran(self._run)
        return False
