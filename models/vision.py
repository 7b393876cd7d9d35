"""What a model sees in a picture: boxes of a detector, or one label for the whole picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from olympus.models import grid, tensors
from olympus.models.manifest import Manifest, Tensor
from olympus.models.picture import Fit, fit
from olympus.models.tensors import Array
from olympus.runtime.errors import ModelError
from olympus.runtime.messages import Detection

NOTHING = ("background", "none", "nothing", "no person")
"""Labels that claim nothing."""


class Sight(Protocol):
    """Knows how to ask one kind of model about a picture."""

    def feed(self, rgb: NDArray[np.uint8]) -> tuple[dict[str, Array], Fit]:
        """Make the model's inputs from a picture (H, W, 3) uint8 RGB of any size."""

    def read(
        self, outputs: Mapping[str, Array], where: Fit, min_confidence: float
    ) -> tuple[Detection, ...]:
        """Make detections, normalised to the picture, from the model's outputs."""


def sight_of(manifest: Manifest) -> Sight:
    """Choose how to ask a model.

    Args:
        manifest: Of a model that takes one picture.

    Raises:
        ModelError: Its task is neither `detect` nor `classify`, or its tensors are not as such a
            model's must be.
    """
    if manifest.task == "detect":
        return GridSight(manifest)
    if manifest.task == "classify":
        return WholeSight(manifest)
    raise ModelError(
        f"model {manifest.name}: task {manifest.task} sees nothing in pictures; take one whose "
        "task is detect or classify"
    )


class _Pictures:
    """Prepares pictures as a manifest's only input wants them."""

    def __init__(self, manifest: Manifest) -> None:
        self.model = manifest.name
        self.input = _picture_input(manifest)
        _, self.height, self.width = (dim for dim in self.input.shape[:3])

    def feed(self, rgb: NDArray[np.uint8]) -> tuple[dict[str, Array], Fit]:
        """Make the model's inputs from a picture (H, W, 3) uint8 RGB of any size."""
        picture, where = fit(rgb, int(self.height), int(self.width))
        if self.input.colour == "bgr":
            picture = picture[..., ::-1]
        return {self.input.name: tensors.prepare(picture, self.input)}, where


class GridSight(_Pictures):
    """Asks a grid detector: outputs `logits` and, if it has them, `edges`."""

    def __init__(self, manifest: Manifest) -> None:
        """Take a manifest with task `detect`.

        Raises:
            ModelError: It has no output `logits`, or fewer than two labels.
        """
        super().__init__(manifest)
        self.outputs = {tensor.name: tensor for tensor in manifest.outputs}
        self.labels = manifest.labels
        logits = self.outputs.get("logits")
        if logits is None or len(logits.shape) != 4 or logits.shape[3] != len(self.labels):
            raise ModelError(
                f"model {manifest.name}: a detector needs an output logits of shape [1, rows, "
                "columns, classes] and a label for each class, the background first; it has "
                f"outputs {', '.join(self.outputs)} and {len(self.labels)} labels"
            )
        self.cell_px = manifest.option("cell_px", 8)

    def read(
        self, outputs: Mapping[str, Array], where: Fit, min_confidence: float
    ) -> tuple[Detection, ...]:
        """Make detections, normalised to the picture, from the model's outputs."""
        values = {name: tensors.dequantize(outputs[name], t) for name, t in self.outputs.items()}
        cells = grid.Grid.read(values["logits"], values.get("edges"), self.labels, self.cell_px)
        found = grid.find(cells, min_confidence=min_confidence)
        placed = (where.to_frame(one) for one in found)
        return tuple(one for one in placed if one is not None)


class WholeSight(_Pictures):
    """Asks a classifier; its answer becomes one detection as large as the picture."""

    def __init__(self, manifest: Manifest) -> None:
        """Take a manifest with task `classify`.

        Raises:
            ModelError: It has not one output with a chance for each label.
        """
        super().__init__(manifest)
        self.output, self.labels = manifest.outputs[0], manifest.labels
        if len(manifest.outputs) != 1 or self.output.shape[-1] != len(self.labels):
            raise ModelError(
                f"model {manifest.name}: a classifier needs one output with a value for each of "
                f"its {len(self.labels)} labels; outputs.shape is {list(self.output.shape)}"
            )

    def read(
        self, outputs: Mapping[str, Array], where: Fit, min_confidence: float
    ) -> tuple[Detection, ...]:
        """Make detections, normalised to the picture, from the model's outputs."""
        values = tensors.dequantize(outputs[self.output.name], self.output).reshape(-1)
        if self.output.units == "logit":
            values = grid.softmax(values)
        best = int(values.argmax())
        label, chance = self.labels[best], float(np.clip(values[best], 0.0, 1.0))
        if label in NOTHING or chance < min_confidence:
            return ()
        return (Detection(label=label, confidence=chance, x=0.0, y=0.0, w=1.0, h=1.0),)


def _picture_input(manifest: Manifest) -> Tensor:
    """Find the input that takes a picture.

    Raises:
        ModelError: There is not exactly one input of shape (1 or batch, height, width, 3).
    """
    tensor = manifest.inputs[0]
    shape = tensor.shape
    sized = len(shape) == 4 and isinstance(shape[1], int) and isinstance(shape[2], int)
    if len(manifest.inputs) != 1 or not sized or shape[3] != 3:
        raise ModelError(
            f"model {manifest.name}: inputs must be one picture [1, height, width, 3] (NHWC); "
            f"{tensor.name} has shape {list(shape)}: transpose inside the model"
        )
    return tensor
