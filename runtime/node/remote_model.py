"""A model that runs in a model host: asked like one of our own, over the bus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from olympus.runtime.bus import Bus
from olympus.runtime.clock import NS_PER_S, Clock
from olympus.runtime.messages.inference import Infer, Inferred, arrays_of, tensors_of
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import NEVER_NS

PATIENCE_S = 30.0
"""How long an answer may take where the caller gives no deadline."""
_GRACE_S = 0.25
"""A job past its deadline is dropped by the host itself, which can say more than a time-out."""


class RemoteModel:
    """A model in a model host."""

    def __init__(self, host: str, name: str) -> None:
        """Name it.

        Args:
            host: Full name of the model host's node, such as `rover/models`.
            name: The model.
        """
        self.host, self.name = host, name

    async def infer(
        self,
        bus: Bus,
        inputs: Mapping[str, NDArray[Any]],
        *,
        tier: Tier,
        deadline_ns: int,
        source: str,
        clock: Clock,
    ) -> dict[str, NDArray[Any]]:
        """Have it run; see `Node.infer`.

        Args:
            bus: Where the model host is reached.
            inputs: Tensors by name. What lies in memory from `bus.loan` is not copied.
            tier: Urgency.
            deadline_ns: Robot time after which nobody wants the result.
            source: Who asks.
            clock: Robot time.

        Returns:
            Tensors by name, to read only.

        Raises:
            BusError: The model host does not answer.
            ModelError: The model refused the inputs or failed.
            JobDroppedError: It was not run in time, or its lane was full.
            MessageError: A dtype that does not travel.
        """
        left_s = (deadline_ns - clock.now_ns()) / NS_PER_S
        patience_s = PATIENCE_S if deadline_ns == NEVER_NS else max(0.0, left_s) + _GRACE_S
        question = Infer(
            model=self.name,
            tier=tier,
            deadline=0 if deadline_ns == NEVER_NS else deadline_ns,
            source=source,
            tensors=tensors_of(inputs),
        )
        answer = await bus.call(f"{self.host}/infer", question, Inferred, timeout_s=patience_s)
        return arrays_of(answer.tensors)

    @staticmethod
    def room(bus: Bus, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array to write an input into, so that it travels without a copy."""
        return bus.loan(shape, dtype)


def pack_tensors(tensors: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Return tensors as plain values: by name, dtype, shape and bytes."""
    return {name: [one.dtype.str, list(one.shape), one.tobytes()] for name, one in tensors.items()}


def unpack_tensors(packed: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Return what `pack_tensors` packed, to read only."""
    return {
        name: np.frombuffer(data, np.dtype(dtype)).reshape(shape)
        for name, (dtype, shape, data) in packed.items()
    }
