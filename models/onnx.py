"""Runs ONNX files with ONNX Runtime, one thread, strictly as their manifests say."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Self

import numpy as np
import onnxruntime as ort

from olympus.models import onnx_file, tensors
from olympus.models.bound import Bound
from olympus.models.manifest import Manifest, Tensor
from olympus.models.meaning import origin_of
from olympus.models.onnx_file import RUNTIME_ERRORS, best_providers, open_session
from olympus.models.registry import Registry, StoredModel
from olympus.models.tensors import Array, dtype_of
from olympus.runtime.errors import ModelError
from olympus.runtime.messages.inference import ModelOrigin

WARM_RUNS = 2
TRIAL_S = 30.0
"""A model that computes longer than this when it is tried out has hung."""


class OnnxModel:
    """A loaded model.

    `run` may be called from any thread, and releases the interpreter lock while it computes.
    """

    origin = ModelOrigin()
    """Where it came from and what its answers mean; `load` says so."""

    def __init__(self, manifest: Manifest, session: ort.InferenceSession) -> None:
        """Take a checked session; use `load` instead."""
        self.manifest = manifest
        self._session = session
        self._inputs = {tensor.name: tensor for tensor in manifest.inputs}
        self._outputs = manifest.outputs
        self._in = [(one.name, dtype_of(one), one.shape) for one in manifest.inputs]
        self._out = [(one, dtype_of(one), one.shape, one.finite) for one in manifest.outputs]
        """What a run looks at, at hand."""
        self._names = [tensor.name for tensor in manifest.outputs]
        self._under_way: dict[ort.RunOptions, None] = {}
        self._why = ""

    @classmethod
    def load(
        cls,
        stored: StoredModel,
        *,
        providers: Sequence[str] | None = None,
        threads: int = 1,
        trial_s: float = TRIAL_S,
    ) -> Self:
        """Load a model, check it against its manifest, and warm it up on zeros.

        Args:
            stored: From `Registry.find`.
            providers: ONNX Runtime's execution providers, best first; what this board has, best
                first, when left out.
            threads: For one run of it.
            trial_s: How long the runs on zeros may take.

        Raises:
            ModelError: The file is changed, damaged, not as the manifest says, fails to run, or
                computes without end.
        """
        manifest = stored.manifest
        if manifest.format != "onnx":
            raise ModelError(f"model {manifest.name}: format is {manifest.format}, not onnx")
        data, providers = stored.read(), providers or best_providers()
        session = open_session(manifest.name, data, providers, threads)
        onnx_file.check(session, manifest)
        model = cls(manifest, session)
        model.origin = origin_of(stored)
        with model.limited(trial_s):
            for _ in range(WARM_RUNS):
                model.run({tensor.name: blank(tensor) for tensor in manifest.inputs})
        return model

    @cached_property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @cached_property
    def digest(self) -> str:
        """The sha256 of its file."""
        return self.manifest.model_file.sha256

    def run(
        self, inputs: Mapping[str, Array], options: ort.RunOptions | None = None
    ) -> dict[str, Array]:
        """Compute the outputs.

        Args:
            inputs: One array for each input of the manifest, of its dtype and shape. Contiguous
                arrays are read in place; others are copied first, which is far cheaper than
                letting ONNX Runtime walk them.
            options: Of this run; by them it can be aborted.

        Returns:
            One fresh array for each output of the manifest.

        Raises:
            ModelError: An input is missing, unknown or ill-shaped; the model fails; or an output
                holds NaN or infinity.
        """
        feed, options = self._feed(inputs), options or ort.RunOptions()
        self._under_way[options] = None
        try:
            results = self._session.run(self._names, feed, options)
        except RUNTIME_ERRORS as error:
            raise self._failure(error, options) from error
        finally:
            del self._under_way[options]
        return self._checked(results)

    def begin(self, inputs: Mapping[str, Array]) -> OnnxRun:
        """Prepare a run that can be aborted by itself: work for a scheduler.

        Args:
            inputs: As for `run`.
        """
        return OnnxRun(self, inputs)

    def bind(self, inputs: Mapping[str, Array]) -> Bound:
        """Tie the model to memory of the caller: runs then read and write it in place.

        Worth it for the smallest models: it saves about half of what `run` costs besides computing.

        Args:
            inputs: Contiguous arrays; what is in them at the time of a run is what it sees.

        Raises:
            ModelError: An input is wrong or not contiguous, or an output's size may vary.
        """
        for name, array in inputs.items():
            if not array.flags.c_contiguous:
                raise ModelError(
                    f"model {self.name}: input {name} is not contiguous; copy it first"
                )
        outputs = {}
        for tensor in self._outputs:
            shape = [dim for dim in tensor.shape if isinstance(dim, int)]
            if len(shape) < len(tensor.shape):
                raise ModelError(f"model {self.name}: output {tensor.name} varies in size; use run")
            outputs[tensor.name] = np.empty(shape, tensor.dtype)
        return Bound(self, self._feed(inputs), outputs)

    def run_bound(self, binding: ort.IOBinding, outputs: Mapping[str, Array]) -> None:
        """Run with memory that was bound; see `bind`.

        Raises:
            ModelError: The model fails, is aborted, or an output holds NaN or infinity.
        """
        options = ort.RunOptions()
        self._under_way[options] = None
        try:
            self._session.run_with_iobinding(binding, options)
        except RUNTIME_ERRORS as error:
            raise self._failure(error, options) from error
        finally:
            del self._under_way[options]
        self._checked([outputs[name] for name in self._names])

    def binding(self) -> ort.IOBinding:
        """Make an empty binding for `Bound`."""
        return self._session.io_binding()

    def abort(self, why: str = "") -> None:
        """End all runs of it within a node of the graph; from any thread, harmless when idle.

        A single node that takes long can't be interrupted.

        Args:
            why: What the error of the runs adds.
        """
        self._why = why
        for options in tuple(self._under_way):
            options.terminate = True

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """Abort what runs within the block once it has taken too long.

        Raises:
            ModelError: It was aborted; or what the block raises.
        """
        is_over = threading.Event()

        def end() -> None:
            is_over.set()
            self.abort()

        watch = threading.Timer(seconds, end)  # varies: only before a model is used
        watch.start()
        try:
            yield
        except ModelError as error:
            if not is_over.is_set():
                raise
            raise ModelError(
                f"model {self.name}: its trial run took more than {seconds:g} s and was ended; "
                "does one of its operators loop without end?"
            ) from error
        finally:
            watch.cancel()

    def _failure(self, error: Exception, options: ort.RunOptions) -> ModelError:
        if options.terminate:
            why, self._why = self._why, ""
            return ModelError(f"model {self.name}: the run was aborted{why and ': '}{why}")
        return ModelError(
            f"model {self.name}: running it failed: {error}; is the file made for "
            f"ONNX Runtime {ort.__version__}?"
        )

    def check(self, inputs: Mapping[str, Array]) -> None:
        """Compare inputs with what the manifest says, without a run.

        Raises:
            ModelError: One is missing, unknown, or of another dtype or shape.
        """
        if inputs.keys() != self._inputs.keys():
            raise ModelError(_wrong_names(self.name, inputs, self._inputs))
        for name, tensor in self._inputs.items():
            tensors.check(self.name, "input", inputs[name], tensor)

    def _feed(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        feed = {}
        for name, dtype, shape in self._in:
            array = inputs.get(name)
            if array is None or array.dtype is not dtype or array.shape != shape:
                self.check(inputs)  # a size may vary; or it says what is wrong
                array = inputs[name]
            feed[name] = np.ascontiguousarray(array)
        if len(inputs) != len(feed):
            self.check(inputs)
        return feed

    def _checked(self, results: Sequence[Array]) -> dict[str, Array]:
        outputs = {}
        for (tensor, dtype, shape, is_finite), array in zip(self._out, results, strict=True):
            if array.dtype is not dtype or array.shape != shape:
                tensors.check(self.name, "output", array, tensor)
            if is_finite:
                tensors.check_finite(self.name, array, tensor)
            outputs[tensor.name] = array
        return outputs


class OnnxRun:
    """One run of a model, to be called once; the scheduler's `Abortable`."""

    def __init__(self, model: OnnxModel, inputs: Mapping[str, Array]) -> None:
        """Prepare it; use `OnnxModel.begin`."""
        self._model, self._inputs, self._options = model, inputs, ort.RunOptions()

    def __call__(self) -> dict[str, Array]:
        """Compute; see `OnnxModel.run`.

        Raises:
            ModelError: See `OnnxModel.run`; or it was aborted.
        """
        return self._model.run(self._inputs, self._options)

    def abort(self) -> None:
        """End this run within a node of the graph; from any thread, before it as well."""
        self._options.terminate = True


def open_model(
    name_or_path: str,
    *,
    registry: Registry | None = None,
    providers: Sequence[str] | None = None,
    threads: int = 1,
) -> OnnxModel:
    """Find and load a model in one step.

    Args:
        name_or_path: A shipped model's name, or the path of a folder or manifest.
        registry: Where to look; the shipped models when left out.
        providers: ONNX Runtime's execution providers, best first; the board's when left out.
        threads: For one run of it.

    Raises:
        ModelError: It is not known, or can't be loaded.
    """
    stored = (registry or Registry()).find(name_or_path)
    return OnnxModel.load(stored, providers=providers, threads=threads)


def _wrong_names(model: str, given: Mapping[str, Array], wanted: Mapping[str, Tensor]) -> str:
    missing = sorted(wanted.keys() - given.keys())
    extra = sorted(given.keys() - wanted.keys())
    if missing:
        return f"model {model}: input {', '.join(missing)} is missing; given: {sorted(given)}"
    return f"model {model}: input {', '.join(extra)} is unknown; wanted: {sorted(wanted)}"


def blank(tensor: Tensor) -> Array:
    """Make an input of zeros; sizes that may vary are 1."""
    shape = [1 if isinstance(dim, str) else dim for dim in tensor.shape]
    return np.zeros(shape, tensor.dtype)
