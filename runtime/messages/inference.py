"""Questions to models that run in another process, and their answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.errors import MessageError
from olympus.runtime.messages.base import Header, Message, message
from olympus.runtime.messages.compiled import maker
from olympus.runtime.messages.schema import Array
from olympus.runtime.qos import Tier
from olympus.runtime.quick import quick

_KINDS = ("bool", "int8", "uint8", "int16", "int32", "int64", "float16", "float32", "float64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A named array of any dtype and shape, as bytes: nothing is copied either way."""

    name: str
    dtype: str
    """numpy's name, such as `float32`; little endian."""
    shape: tuple[int, ...]
    data: Annotated[NDArray[np.uint8], Array("u1", (None,))]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOrigin:
    """Where a model that answered came from."""

    loader: str = ""
    """Function that loads it, as `module:name`."""
    place: str = ""
    """What the function is given: a shipped model's name, or the model's folder."""
    digest: str = ""
    """The sha256 of its file."""
    title: str = ""
    """Its name and version."""
    meaning: str = ""
    """Hash of what its manifest says of labels and tensors: who reads answers by a manifest with
    another one would misread them."""


@message("olympus/Infer")
class Infer(Message):
    """Run a model on tensors when its turn comes."""

    ALIKE = "model"
    model: str
    """Its name, or `task:NAME` for whichever model serves that task."""
    tier: Tier
    deadline: int
    """Robot time after which nobody wants the result, ns; 0 = never."""
    source: str
    """Node that asks."""
    tensors: tuple[Tensor, ...]


@message("olympus/Inferred")
class Inferred(Message):
    """What a model made of tensors."""

    tensors: tuple[Tensor, ...]
    model: str = ""
    """Which model it was, where a task was asked."""
    is_cached: bool = False
    """It was computed for an earlier question that was the same."""
    passed_over: dict[str, str] = field(default_factory=dict)
    """Models that would have come before, and why they did not serve."""
    origin: ModelOrigin = ModelOrigin()
    """How a replay gets the same model; empty where it is far away."""


@message("olympus/Prompt")
class Prompt(Message):
    """Have a language model answer when its turn comes."""

    ALIKE = "model"
    model: str
    """Its name, or `task:NAME` for whichever model serves that task."""
    tier: Tier
    deadline: int
    """Robot time after which nobody wants the result, ns; 0 = never."""
    source: str
    request: str
    """JSON object: `prompt` or `messages`, and how it is to be answered; or `embed`, a text."""


@message("olympus/Completed")
class Completed(Message):
    """What a language model answered."""

    answer: str
    """JSON object: `text` or `embedding`, and how it came about; where a task was asked also
    `model`, `is_cached` and `passed_over`."""


@message("olympus/SwapModel")
class SwapModel(Message):
    """Take another version of a served model into use; its self-test decides. Answered with Ack."""

    model: str
    to: str
    """Folder or manifest of the version; empty: the version before."""


def python_tensors_of(arrays: Mapping[str, NDArray[Any]]) -> tuple[Tensor, ...]:
    """Do what `tensors_of` does in Python: the reference of quick/tensors.c.

    Raises:
        MessageError: A dtype that does not travel.
    """
    tensors: list[Tensor] = []
    for name, array in arrays.items():
        kind = _NATIVE.get(array.dtype) or _kind_of(name, array.dtype)
        flat = array
        if array.dtype is not kind[1] or not array.flags.c_contiguous:
            flat = np.ascontiguousarray(array, kind[1])
        tensors.append(_made(name, kind[0], array.shape, flat.reshape(-1).view(_BYTES)))
    return tuple(tensors)


def question_of(
    model: str, arrays: Mapping[str, NDArray[Any]], *, tier: Tier, deadline: int, source: str
) -> Infer:
    """Return a question to a model host; see `Infer`.

    Raises:
        MessageError: A dtype that does not travel.
    """
    return _infer(_NO_HEADER, model, tier, deadline, source, tensors_of(arrays))


def answer_of(arrays: Mapping[str, NDArray[Any]], origin: ModelOrigin) -> Inferred:
    """Return the answer of a model that was asked by its own name; see `Inferred`.

    Raises:
        MessageError: A dtype that does not travel.
    """
    return _inferred(_NO_HEADER, tensors_of(arrays), "", False, {}, origin)


def python_arrays_of(tensors: Iterable[Tensor]) -> dict[str, NDArray[Any]]:
    """Do what `arrays_of` does in Python.

    Raises:
        MessageError: As for `arrays_of`.
    """
    arrays: dict[str, NDArray[Any]] = {}
    for tensor in tensors:
        name, shape, data = tensor.name, tensor.shape, tensor.data
        if name in arrays:
            raise MessageError(f"tensor {name!r:.80} comes twice")
        dtype = _DTYPES.get(tensor.dtype)
        if dtype is None:
            raise MessageError(f"tensor {name!r:.80}: dtype {tensor.dtype!r:.40} is unknown")
        is_whole = len(shape) <= 8 and min(shape, default=0) >= 0
        if not is_whole or math.prod(shape) * dtype.itemsize != data.nbytes:
            raise MessageError(
                f"tensor {name!r:.80}: {data.nbytes} bytes don't fill {tensor.dtype} "
                f"of shape {shape!r:.80}"
            )
        try:
            arrays[name] = data.view(dtype).reshape(shape)
        except (ValueError, OverflowError) as error:  # an axis of length 0 hides others too long
            raise MessageError(f"tensor {name!r:.80}: no shape {shape!r:.80}: {error}") from error
    return arrays


def _kind_of(tensor: str, dtype: np.dtype[Any]) -> tuple[str, np.dtype[Any]]:
    """Return a dtype's name and its native form, which has no byte order of its own.

    Raises:
        MessageError: It does not travel.
    """
    native = dtype.newbyteorder("=")
    if native.name not in _KINDS:
        raise MessageError(f"tensor {tensor}: dtype {dtype} does not travel; use one of {_KINDS}")
    return native.name, native


_made, _infer, _inferred = maker(Tensor), maker(Infer), maker(Inferred)
_NO_HEADER = Header()
_BYTES = np.dtype(np.uint8)
_DTYPES = {name: np.dtype(name) for name in _KINDS}
_NATIVE = {dtype: (name, dtype) for name, dtype in _DTYPES.items()}
"""What numpy takes microseconds to say of a dtype."""


def _make_tensors() -> Any:
    """Return what turns plain arrays into tensors and back; None where that isn't built."""
    if quick is None:
        return None
    kinds = {dtype: (name, dtype, dtype.itemsize) for name, dtype in _DTYPES.items()}
    dtypes = {name: (dtype, dtype.itemsize) for name, dtype in _DTYPES.items()}
    names = tuple(one.name for one in fields(Tensor))
    return quick.Tensors(
        Tensor, names, kinds, dtypes, _BYTES, python_tensors_of, python_arrays_of
    )  # fmt: skip


_in_c = _make_tensors()
tensors_of: Callable[[Mapping[str, NDArray[Any]]], tuple[Tensor, ...]] = (
    python_tensors_of if _in_c is None else _in_c.pack
)
"""Returns named arrays as they travel; contiguous ones are not copied.

MessageError: a dtype that does not travel.
"""
arrays_of: Callable[[Iterable[Tensor]], dict[str, NDArray[Any]]] = (
    python_arrays_of if _in_c is None else _in_c.unpack
)
"""Returns what `tensors_of` packed, as read-only views of the same memory.

MessageError: a dtype that does not travel, a shape that the bytes don't fill, or a name that comes
twice.
"""
