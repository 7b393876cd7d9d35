"""An ONNX file as ONNX Runtime reads it, and whether it is what its manifest says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from olympus.models.manifest import Manifest, Tensor
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
NOWHERE = "/dev/null"
"""Where ONNX Runtime looks for numbers outside a file: it would take any of the working folder."""
_DTYPES = {"tensor(float)": "float32", "tensor(double)": "float64"}
RUNTIME_ERRORS: tuple[type[Exception], ...] = (
    *(
        one
        for one in vars(ort_errors).values()
        if isinstance(one, type) and issubclass(one, Exception)
    ),
    RuntimeError,
    MemoryError,
    UnicodeDecodeError,  # what it says of a damaged file quotes that file
)
"""All that it raises; it has classes of its own, and pybind11 turns others into Python's."""


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output as the file itself declares it."""

    name: str
    dtype: str
    shape: tuple[int | str | None, ...]


def best_providers() -> list[str]:
    """List what this board's ONNX Runtime can compute with, best first."""
    known = ort.get_available_providers()
    return [provider for provider in PREFERRED if provider in known]


def inspect(name: str, data: bytes) -> tuple[list[Port], list[Port]]:
    """Read what an ONNX file itself declares: its inputs and its outputs.

    Args:
        name: What errors call it.
        data: The file.

    Raises:
        ModelError: It is no ONNX file.
    """
    session = open_session(name, data, (CPU,))
    return _ports(session.get_inputs()), _ports(session.get_outputs())


def open_session(
    model: str, data: bytes, providers: Sequence[str], threads: int = 1
) -> ort.InferenceSession:
    """Load a file.

    Args:
        model: What errors call it.
        data: The file.
        providers: ONNX Runtime's execution providers, best first.
        threads: For one run of it.

    Raises:
        ModelError: A provider is unknown, or it is no ONNX file.
    """
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
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", NOWHERE
    )
    options.log_severity_level = 3
    try:
        # With the processor alone there is nothing to fall back to, and it would print about it.
        return ort.InferenceSession(
            data, options, providers=list(providers), enable_fallback=list(providers) != [CPU]
        )
    except RUNTIME_ERRORS as error:
        if NOWHERE in str(error):
            raise ModelError(
                f"model {model}: the file keeps numbers in another file, which no sha256 vouches "
                "for; make it one: onnx.save_model(onnx.load(FILE), ANOTHER_FILE)"
            ) from error
        raise ModelError(
            f"model {model}: file can't be loaded by ONNX Runtime {ort.__version__}: {error}; "
            "is it a whole ONNX file?"
        ) from error


def _ports(nodes: Sequence[ort.NodeArg]) -> list[Port]:
    return [Port(n.name, _dtype(n.type), tuple(n.shape)) for n in nodes]


def _dtype(onnx_type: str) -> str:
    """Translate `tensor(float)` to `float32`."""
    return _DTYPES.get(onnx_type, onnx_type.removeprefix("tensor(").removesuffix(")"))


def check(session: ort.InferenceSession, manifest: Manifest) -> None:
    """Compare what the file declares with what the manifest promises.

    Raises:
        ModelError: A name, dtype or shape differs.
    """
    _agree(manifest.name, "input", _ports(session.get_inputs()), manifest.inputs)
    _agree(manifest.name, "output", _ports(session.get_outputs()), manifest.outputs)


def _agree(model: str, kind: str, ports: Sequence[Port], wanted: Sequence[Tensor]) -> None:
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
