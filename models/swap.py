"""Takes a new version of a model into use while it runs, and back out when it is no good."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from olympus.models.llama import LlamaModel
from olympus.models.manifest import Manifest, SelfTest
from olympus.models.meaning import unlike
from olympus.models.onnx import TRIAL_S, OnnxModel
from olympus.models.registry import StoredModel
from olympus.models.wish import Wish
from olympus.runtime.errors import ModelError, did_you_mean

TESTED_VALUES: Final = 10
"""How many values of an output a self-test that is written here compares."""


class Loaded(Protocol):
    """Any loaded model."""

    manifest: Manifest


M = TypeVar("M", bound=Loaded)


def load(stored: StoredModel, *, trial_s: float = TRIAL_S) -> OnnxModel | LlamaModel:
    """Load a model with the backend that its manifest's format asks for.

    Args:
        stored: From `Registry.find`.
        trial_s: How long the trial runs of a tensor model may take.

    Raises:
        ModelError: It can't be loaded.
    """
    if stored.manifest.format == "gguf":
        return LlamaModel.load(stored)
    return OnnxModel.load(stored, trial_s=trial_s)


def self_test(model: OnnxModel | LlamaModel) -> None:
    """Ask a model what its manifest holds the answers to.

    Raises:
        ModelError: It answers otherwise.
    """
    for number, test in enumerate(model.manifest.self_test):
        if isinstance(model, LlamaModel):
            _ask(model, test, number)
        else:
            _compute(model, test, number)


def _ask(model: LlamaModel, test: SelfTest, number: int) -> None:
    wish = Wish(special=True, max_tokens=max(1, len(test.answer)))
    text = model.complete(test.prompt, wish).text
    if not text.startswith(test.answer):
        raise ModelError(
            f"model {model.manifest.title}: self_test[{number}] gave {text[:60]!r}, not "
            f"{test.answer[:60]!r}"
        )


def self_test_of(model: OnnxModel, output: str, *, fill: float, tolerance: float) -> SelfTest:
    """Write a test that a model passes, for its manifest.

    Args:
        model: Known to be good.
        output: Which output to look at.
        fill: The value that all inputs are filled with.
        tolerance: How far another processor may be off; INT8 rounds otherwise there.
    """
    found = model.run(_filled(model, fill))[output].ravel()[:TESTED_VALUES]
    values = tuple(round(float(value), 3) for value in found)
    return SelfTest(fill=fill, output=output, values=values, tolerance=tolerance)


def _filled(model: OnnxModel, fill: float) -> dict[str, NDArray[Any]]:
    return {
        tensor.name: np.full(
            [1 if isinstance(dim, str) else dim for dim in tensor.shape], fill, tensor.dtype
        )
        for tensor in model.manifest.inputs
    }


def _compute(model: OnnxModel, test: SelfTest, number: int) -> None:
    with model.limited(TRIAL_S):
        outputs = model.run(_filled(model, test.fill))
    if test.output not in outputs:
        raise ModelError(
            f"model {model.manifest.title}: self_test[{number}].output: "
            f"{did_you_mean(test.output, outputs)}"
        )
    found = outputs[test.output].ravel()[: len(test.values)].astype(np.float64)
    is_near = len(found) == len(test.values) and np.allclose(
        found, test.values, rtol=0.0, atol=test.tolerance
    )
    if not is_near:
        raise ModelError(
            f"model {model.manifest.title}: self_test[{number}] gave {found.tolist()} for "
            f"{test.output}, not {list(test.values)}"
        )


class Swappable(Generic[M]):
    """The version of a model that is in use; others may swap it at any time.

    Whoever calls `current` for each piece of work never waits: work that has begun ends with the
    version it began with.
    """

    def __init__(
        self,
        first: StoredModel,
        load: Callable[[StoredModel], M],
        test: Callable[[M], None],
    ) -> None:
        """Load and test the first version.

        Args:
            first: From `Registry.find`.
            load: Loads a version.
            test: Raises ModelError when a version is no good.

        Raises:
            ModelError: The first version can't be loaded or fails its test.
        """
        self._load, self._test = load, test
        self._lock = threading.Lock()
        self._before: M | None = None
        self.retired: list[M] = []
        """Versions that nobody can get at; whoever owns them frees them when idle."""
        self.current = self._tried(first)
        """The version in use."""

    def swap(self, stored: StoredModel) -> M:
        """Take another version into use if it passes its self-test; else all stays as it is.

        Args:
            stored: Another version of the same model.

        Returns:
            The version now in use.

        Raises:
            ModelError: It is another model, its answers mean something else, it can't be loaded,
                or it fails its test; the message says that the old version goes on.
        """
        old = self.current.manifest
        if stored.manifest.name != old.name:
            raise ModelError(f"model {old.name}: {stored.name} is another model, not a new version")
        if why := unlike(old, stored.manifest):
            raise ModelError(f"model {stored.manifest.title}: {why}; {old.title} stays in use")
        if old.self_test and not stored.manifest.self_test:
            raise ModelError(
                f"model {stored.manifest.title}: its manifest has no self_test, so nothing shows "
                f"that it is good; write one; {old.title} stays in use"
            )
        with self._lock:
            try:
                new = self._tried(stored)
            except ModelError as error:
                raise ModelError(f"{error}; {old.title} stays in use") from error
            if self._before is not None:
                self.retired.append(self._before)
            self._before, self.current = self.current, new
            return new

    def roll_back(self) -> M:
        """Take the version before into use again.

        Raises:
            ModelError: There is none.
        """
        with self._lock:
            if self._before is None:
                title = self.current.manifest.title
                raise ModelError(f"model {title}: there is no version before to go back to")
            self.retired.append(self.current)
            self.current, self._before = self._before, None
            return self.current

    def versions(self) -> tuple[M, ...]:
        """Return all versions in memory, the one in use first."""
        before = () if self._before is None else (self._before,)
        return (self.current, *before, *self.retired)

    def _tried(self, stored: StoredModel) -> M:
        model = self._load(stored)
        try:
            self._test(model)
        except ModelError:
            self.retired.append(model)
            raise
        return model
