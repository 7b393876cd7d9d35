"""Arrays as a manifest's tensors want them: checks, normalisation, int8 interfaces."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from olympus.models.manifest import Dtype, Tensor
from olympus.runtime.errors import ModelError
from olympus.runtime.quick import quick

Array = NDArray[Any]
"""An array of whatever dtype the tensor at hand has."""

_DTYPES: dict[str, np.dtype[Any]] = {name: np.dtype(name) for name in get_args(Dtype)}


def dtype_of(tensor: Tensor) -> np.dtype[Any]:
    """Return numpy's dtype of a tensor's values."""
    return _DTYPES[tensor.dtype]


def quantize(values: Array, tensor: Tensor) -> Array:
    """Store real values as the whole numbers a tensor takes.

    Args:
        values: Any shape, in the tensor's units after normalisation.
        tensor: With `quantization`.

    Returns:
        Same shape, the tensor's dtype, rounded and saturated.

    Raises:
        ModelError: The tensor is not quantized.
    """
    rule = tensor.quantization
    if rule is None:
        raise ModelError(f"{tensor.name}: is not quantized; give it {tensor.dtype} as it is")
    limits = np.iinfo(np.dtype(tensor.dtype))
    whole = np.rint(np.asarray(values, np.float32) / np.float32(rule.scale)) + rule.zero_point
    stored: Array = np.clip(whole, limits.min, limits.max).astype(tensor.dtype)
    return stored


def dequantize(stored: Array, tensor: Tensor) -> NDArray[np.float32]:
    """Read back real values; arrays of a tensor without `quantization` only become float32.

    Args:
        stored: Any shape, the tensor's dtype.
        tensor: Whose values they are.

    Returns:
        Same shape, float32.
    """
    rule = tensor.quantization
    if rule is None:
        return stored.astype(np.float32, copy=False)
    shifted = stored.astype(np.float32) - np.float32(rule.zero_point)
    return shifted * np.float32(rule.scale)


def prepare(raw: Array, tensor: Tensor) -> Array:
    """Turn raw values, such as a picture's 0..255, into what a tensor takes.

    Args:
        raw: The tensor's shape, or without its leading axis of size 1.
        tensor: Says how they are normalised and stored.

    Returns:
        The tensor's dtype and rank; `raw` itself, not copied, where nothing has to be done.
    """
    shaped = raw[np.newaxis] if raw.ndim == len(tensor.shape) - 1 else raw
    rule = tensor.normalisation
    if rule is not None:
        shaped = shaped * np.float32(rule.scale) + np.float32(rule.offset)
    if tensor.quantization is not None:
        return quantize(shaped, tensor)
    return shaped.astype(tensor.dtype, copy=False)


def check(model: str, kind: str, array: Array, tensor: Tensor) -> None:
    """Compare an array with what the manifest says.

    Args:
        model: Its name, for the message.
        kind: `input` or `output`.
        array: To be checked.
        tensor: What it should be.

    Raises:
        ModelError: Another dtype, rank or size.
    """
    if array.dtype != _DTYPES[tensor.dtype]:
        raise ModelError(
            f"model {model}: {kind} {tensor.name} has dtype {array.dtype.name}, "
            f"wants {tensor.dtype}; convert it with astype or tensors.prepare"
        )
    if array.shape != tensor.shape and not fits(array.shape, tensor):
        wanted = ", ".join(str(dim) for dim in tensor.shape)
        layout = f" ({tensor.layout})" if tensor.layout else ""
        raise ModelError(
            f"model {model}: {kind} {tensor.name} has shape {list(array.shape)}, "
            f"wants [{wanted}]{layout}; reshape or resize it"
        )


def fits(shape: tuple[int, ...], tensor: Tensor) -> bool:
    """Tell whether a shape agrees with a tensor; a named size agrees with any."""
    if len(shape) != len(tensor.shape):
        return False
    pairs = zip(shape, tensor.shape, strict=True)
    return all(isinstance(want, str) or want == have for have, want in pairs)


def check_finite(model: str, array: Array, tensor: Tensor) -> None:
    """Refuse NaN and infinity in an output.

    Raises:
        ModelError: There is one.
    """
    if array.dtype.kind == "f" and not is_finite(array):
        raise ModelError(
            f"model {model}: output {tensor.name} holds NaN or infinity; look at what went in, or "
            "say 'finite: false' in the manifest if that is meant"
        )


def is_finite(array: Array) -> bool:
    """Tell whether an array of floats of any shape holds neither NaN nor infinity."""
    told: bool | None = quick.all_finite(array) if quick is not None else None
    if told is None:
        told = bool(np.logical_and.reduce(np.isfinite(array), axis=None))  # `all`, but quicker
    return told
