"""Reads a folder of examples: arrays or pictures, in subfolders named by their label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from olympus.models import tensors
from olympus.models.manifest import Manifest, Tensor
from olympus.models.tensors import Array
from olympus.runtime.errors import ModelError

PICTURES = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True, slots=True)
class Example:
    """What a model takes, and the label if it is known."""

    feed: dict[str, Array]
    label: str


def read_examples(folder: Path, manifest: Manifest) -> list[Example]:
    """Read all examples below a folder, in the order of their paths.

    A `.npy` holds one input as the model takes it, with or without the leading axis of size 1; a
    `.npz` one array for each input; a picture is scaled to the model's input and normalised as the
    manifest says. A subfolder named like one of the manifest's labels tells the right answer.

    Args:
        folder: The folder.
        manifest: Of the float model.

    Raises:
        ModelError: There are none, or one doesn't fit.
    """
    kinds = (".npy", ".npz", *PICTURES)
    if not folder.is_dir():
        raise ModelError(f"{folder}: is no folder; examples are files in one")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in kinds)
    if not paths:
        raise ModelError(f"{folder}: holds no examples; put {', '.join(kinds)} files there")
    labels = set(manifest.labels)
    return [
        Example(_read(path, manifest), path.parent.name if path.parent.name in labels else "")
        for path in paths
    ]


def _read(path: Path, manifest: Manifest) -> dict[str, Array]:
    kind = path.suffix.lower()
    if kind == ".npz":
        arrays = dict(_loaded(path))
    elif len(manifest.inputs) != 1:
        names = ", ".join(tensor.name for tensor in manifest.inputs)
        raise ModelError(f"{path}: the model has several inputs; give .npz files with {names}")
    else:
        array = _picture(path, manifest.inputs[0]) if kind != ".npy" else _loaded(path)
        arrays = {manifest.inputs[0].name: array}
    for tensor in manifest.inputs:
        if tensor.name not in arrays:
            raise ModelError(f"{path}: has no array {tensor.name!r}; it has {sorted(arrays)}")
        array = arrays[tensor.name]
        shaped = array[np.newaxis] if array.ndim == len(tensor.shape) - 1 else array
        tensors.check(str(path), "example", shaped, tensor)
        if shaped.dtype.kind == "f" and not np.isfinite(shaped).all():
            raise ModelError(f"{path}: {tensor.name} holds NaN or infinity; leave it out")
        arrays[tensor.name] = np.ascontiguousarray(shaped)
    return arrays


def _loaded(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, BadZipFile) as error:
        raise ModelError(f"{path}: holds no arrays that can be read ({error})") from error


def _picture(path: Path, tensor: Tensor) -> Array:
    try:
        import cv2
    except ImportError as error:
        raise ModelError(f"{path}: pictures need `pip install olympus-edge[vision]`") from error
    shape = [dim for dim in tensor.shape[-3:] if isinstance(dim, int)]
    if len(tensor.shape) != 4 or len(shape) != 3 or shape[2] not in (1, 3):
        raise ModelError(f"{path}: input {tensor.name} is no picture [1, height, width, 1 or 3]")
    flag = cv2.IMREAD_GRAYSCALE if shape[2] == 1 else cv2.IMREAD_COLOR
    picture = cv2.imread(str(path), flag)
    if picture is None:
        raise ModelError(f"{path}: is no picture that can be read")
    scaled = cv2.resize(picture, (shape[1], shape[0]), interpolation=cv2.INTER_AREA)
    if shape[2] == 3 and tensor.colour != "bgr":
        scaled = cv2.cvtColor(scaled, cv2.COLOR_BGR2RGB)
    return tensors.prepare(scaled.reshape(1, *shape), tensor)


def split(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Part examples: three of four to calibrate with, every fourth to judge by.

    Raises:
        ModelError: There are fewer than four.
    """
    if len(examples) < 4:
        raise ModelError(f"{len(examples)} examples are too few; give at least 4, better hundreds")
    judged = [example for i, example in enumerate(examples) if i % 4 == 3]
    return [example for i, example in enumerate(examples) if i % 4 != 3], judged
