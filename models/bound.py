"""A tensor model tied to memory of the caller."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from olympus.models.tensors import Array


class Binding(Protocol):
    """What ties a model to memory."""

    def binding(self) -> Any:
        """Make an empty binding."""

    def run_bound(self, binding: Any, outputs: Mapping[str, Array]) -> None:
        """Run with memory that was bound."""


class Bound:
    """A model tied to memory: `inputs` may be written between runs, `outputs` read after them."""

    def __init__(
        self, model: Binding, inputs: Mapping[str, Array], outputs: Mapping[str, Array]
    ) -> None:
        """Tie them; use `OnnxModel.bind`."""
        self.inputs, self.outputs, self._model = inputs, outputs, model
        self._binding = model.binding()
        for name, array in inputs.items():
            place = array.ctypes.data
            self._binding.bind_input(name, "cpu", 0, array.dtype.type, array.shape, place)
        for name, array in outputs.items():
            place = array.ctypes.data
            self._binding.bind_output(name, "cpu", 0, array.dtype.type, array.shape, place)

    def run(self) -> Mapping[str, Array]:
        """Compute what is in `inputs` now.

        Returns:
            `outputs`: the same arrays each time.

        Raises:
            ModelError: The model fails, is aborted, or an output holds NaN or infinity.
        """
        self._model.run_bound(self._binding, self.outputs)
        return self.outputs
