"""Runs ONNX files with ONNX Runtime, one thread, strictly as their manifests say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from olympus.models import tensors
from olympus.models.bound import Bound
from olympus.models.manifest import Manifest, Tensor
from olympus.models.registry import Registry, StoredModel
from olympus.models.tensors import Array
from olympus.runtime.errors import ModelError, did_you_mean

CPU = "CPUExecutionProvider"
PREFERRED = (
    "TensorrtExecutionProvider",
    "CUDAExecutionProvider",
    "ACLExecutionProvider",
    "XnnpackExecutionProvider",
    CPU,
)
"""Best first; a board uses those that its build of ONNX Runtime has."""
WARM_RUNS = 2

_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}
_RUNTIME_ERRORS = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    ort_errors.EPFail,
)


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output as the file itself declares it."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


class OnnxModel:
    """A loaded model.

    `run` may be called from any thread, and releases the interpreter lock while it computes.
    """

    def __init__(self, manifest: Manifest, session: ort.InferenceSession) -> None:
        """Take a checked session; use `load` instead."""
        self.manifest = manifest
        self._session = session
        self._inputs = {tensor.name: tensor for tensor in manifest.inputs}
        self._outputs = manifest.outputs
        self._names = [tensor.name for tensor in manifest.outputs]
        self._options = ort.RunOptions()
        self._running = 0

    @classmethod
    def load(
        cls, stored: StoredModel, *, providers: Sequence[str] | None = None, threads: int = 1
    ) -> Self:
        """Load a model, check it against its manifest, and warm it up on zeros.

        Args:
            stored: From `Registry.find`.
            providers: ONNX Runtime's execution providers, best first; what this board has, best
                first, when left out.
            threads: For one run of it.

        Raises:
            ModelError: The file is changed, damaged, not as the manifest says, or fails to run.
        """
        manifest = stored.manifest
        if manifest.format != "onnx":
            raise ModelError(f"model {manifest.name}: format is {manifest.format}, not onnx")
        session = _session(manifest.name, stored.read(), providers or best_providers(), threads)
        _agree(manifest.name, "input", _ports(session.get_inputs()), manifest.inputs)
        _agree(manifest.name, "output", _ports(session.get_outputs()), manifest.outputs)
        model = cls(manifest, session)
        for _ in range(WARM_RUNS):
            model.run({tensor.name: blank(tensor) for tensor in manifest.inputs})
        return model

    @property
    def name(self) -> str:
        """The model's name."""
        return self.manifest.name

    @property
    def digest(self) -> str:
        """The sha256 of its file."""
        return self.manifest.model_file.sha256

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Compute the outputs.

        Args:
            inputs: One array for each input of the manifest, of its dtype and shape. Contiguous
                arrays are read in place; others are copied first, which is far cheaper than
                letting ONNX Runtime walk them.

        Returns:
            One fresh array for each output of the manifest.

        Raises:
            ModelError: An input is missing, unknown or ill-shaped; the model fails; or an output
                holds NaN or infinity.
        """
        feed = self._feed(inputs)
        self._running += 1
        try:
            results = self._session.run(self._names, feed, self._options)
        except _RUNTIME_ERRORS as error:
            raise self._failure(error) from error
        finally:
            self._running -= 1
        return self._checked(results)

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
        self._running += 1
        try:
            self._session.run_with_iobinding(binding, self._options)
        except _RUNTIME_ERRORS as error:
            raise self._failure(error) from error
        finally:
            self._running -= 1
        self._checked([outputs[name] for name in self._names])

    def binding(self) -> ort.IOBinding:
        """Make an empty binding for `Bound`."""
        return self._session.io_binding()

    def abort(self) -> None:
        """End all runs of it within a node of the graph; from any thread, harmless when idle.

        A single node that takes long can't be interrupted.
        """
        if self._running:
            self._options.terminate = True

    def _failure(self, error: Exception) -> ModelError:
        if self._options.terminate:
            if self._running <= 1:
                self._options.terminate = False
            return ModelError(f"model {self.name}: the run was aborted")
        return ModelError(
            f"model {self.name}: running it failed: {error}; is the file made for "
            f"ONNX Runtime {ort.__version__}?"
        )

    def _feed(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if inputs.keys() != self._inputs.keys():
            raise ModelError(_wrong_names(self.name, inputs, self._inputs))
        feed = {}
        for name, tensor in self._inputs.items():
            array = inputs[name]
            tensors.check(self.name, "input", array, tensor)
            feed[name] = np.ascontiguousarray(array)
        return feed

    def _checked(self, results: Sequence[Array]) -> dict[str, Array]:
        outputs = {}
        for tensor, array in zip(self._outputs, results, strict=True):
            tensors.check(self.name, "output", array, tensor)
            if tensor.finite:
                tensors.check_finite(self.name, array, tensor)
            outputs[tensor.name] = array
        return outputs


def best_providers() -> list[str]:
    """List what this board's ONNX Runtime can compute with, best first."""
    known = ort.get_available_providers()
    return [provider for provider in PREFERRED if provider in known]


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


def inspect(name: str, data: bytes) -> tuple[list[Port], list[Port]]:
    """Read what an ONNX file itself declares: its inputs and its outputs.

    Args:
        name: What errors call it.
        data: The file.

    Raises:
        ModelError: It is no ONNX file.
    """
    session = _session(name, data, (CPU,))
    return _ports(session.get_inputs()), _ports(session.get_outputs())


def _session(
    model: str, data: bytes, providers: Sequence[str], threads: int = 1
) -> ort.InferenceSession:
    known = ort.get_available_providers()
    for provider in providers:
        if provider not in known:
            raise ModelError(
                f"model {model}: provider {provider!r} is not in this build of ONNX Runtime; "
                f"{did_you_mean(provider, known)}"
            )
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(data, options, providers=list(providers))
    except _RUNTIME_ERRORS as error:
        raise ModelError(
            f"model {model}: file can't be loaded by ONNX Runtime {ort.__version__}: {error}; "
            "is it a whole ONNX file?"
        ) from error


def _ports(nodes: Sequence[ort.NodeArg]) -> list[Port]:
    return [Port(n.name, _dtype(n.type), tuple(n.shape)) for n in nodes]


def _dtype(onnx_type: str) -> str:
    """Translate `tensor(float)` to `float32`."""
    return _DTYPES.get(onnx_type, onnx_type.removeprefix("tensor(").removesuffix(")"))


def _agree(model: str, kind: str, ports: Sequence[Port], wanted: Sequence[Tensor]) -> None:
    """Compare what the file declares with what the manifest promises.

    Raises:
        ModelError: A name, dtype or shape differs.
    """
    declared = {port.name: port for port in ports}
    names = {tensor.name: tensor for tensor in wanted}
    if kind == "input" and declared.keys() - names.keys():
        missing = ", ".join(sorted(declared.keys() - names.keys()))
        raise ModelError(f"model {model}: the file wants input {missing}; add it to inputs")
    for name, tensor in names.items():
        if name not in declared:
            raise ModelError(
                f"model {model}: {kind}s.name {name!r} is not in the file; "
                f"{did_you_mean(name, declared)}"
            )
        _agree_port(model, kind, declared[name], tensor)


def _agree_port(model: str, kind: str, port: Port, tensor: Tensor) -> None:
    where = f"model {model}: {kind} {tensor.name}"
    if port.dtype != tensor.dtype:
        raise ModelError(
            f"{where}: the file says dtype {port.dtype}, the manifest {tensor.dtype}; "
            f"correct {kind}s.dtype"
        )
    if len(port.shape) != len(tensor.shape) or not all(
        _same(have, want) for have, want in zip(port.shape, tensor.shape, strict=True)
    ):
        raise ModelError(
            f"{where}: the file says shape {list(port.shape)}, the manifest {list(tensor.shape)}; "
            f"correct {kind}s.shape (write a name for a size that may vary)"
        )


def _same(have: int | str | None, want: int | str) -> bool:
    """A fixed size in the file must be the manifest's; a free one may be anything."""
    return not isinstance(have, int) or have == want


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
