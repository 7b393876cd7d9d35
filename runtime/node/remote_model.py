"""A model that runs in a model host: asked like one of our own, over the bus."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import DTypeLike, NDArray

from olympus.runtime.bus import Bus
from olympus.runtime.clock import NS_PER_S, Clock
from olympus.runtime.errors import ModelError
from olympus.runtime.messages.inference import (
    Infer,
    Inferred,
    ModelOrigin,
    arrays_of,
    question_of,
)
from olympus.runtime.node.journal import checksum
from olympus.runtime.qos import Tier
from olympus.runtime.scheduler import NEVER_NS

PATIENCE_S = 30.0
"""How long an answer may take where the caller gives no deadline."""
_GRACE_S = 0.25
"""A job past its deadline is dropped by the host itself, which can say more than a time-out."""


Tensors = dict[str, NDArray[Any]]


class Model(Protocol):
    """Anything that turns named tensors into named tensors."""

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> Tensors:
        """Compute the outputs; called on a worker thread."""


@dataclass(frozen=True, slots=True)
class RemoteAnswer:
    """What a model host answered."""

    tensors: Mapping[str, NDArray[Any]]
    origin: ModelOrigin
    """Of the model that computed it."""


class RemoteModel:
    """A model in a model host."""

    def __init__(self, host: str, name: str, reader: ModelOrigin | None = None) -> None:
        """Name it.

        Args:
            host: Full name of the model host's node, such as `rover/models`.
            name: The model.
            reader: Model by whose manifest its answers are going to be read; those that mean
                something else are refused. None refuses none.
        """
        self.host, self.name = host, name
        self.origin = reader or ModelOrigin()
        """Of what answered last; before that, of the reader."""
        self._reader, self._service = self.origin, f"{host}/infer"
        self._read_as = self.origin.meaning

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
        """Have it run; see `Node.infer` and `ask`, which says what it takes and raises."""
        if deadline_ns == NEVER_NS:  # as nearly always: one call less
            question = question_of(self.name, inputs, tier=tier, deadline=0, source=source)
            patience_s = PATIENCE_S
        else:
            question, patience_s = self._question(inputs, tier, deadline_ns, source, clock)
        answer = await bus.call(self._service, question, Inferred, timeout_s=patience_s)
        self.origin = origin = answer.origin
        if origin.meaning != self._read_as and self._read_as:
            raise self._misread(source)
        return arrays_of(answer.tensors)

    async def ask(
        self,
        bus: Bus,
        inputs: Mapping[str, NDArray[Any]],
        *,
        tier: Tier,
        deadline_ns: int,
        source: str,
        clock: Clock,
    ) -> RemoteAnswer:
        """Have it run, and tell which model did.

        Args:
            bus: Where the model host is reached.
            inputs: Tensors by name. What lies in memory from `bus.loan` is not copied.
            tier: Urgency.
            deadline_ns: Robot time after which nobody wants the result.
            source: Who asks.
            clock: Robot time.

        Returns:
            Tensors by name, to read only, and where their model came from.

        Raises:
            BusError: The model host does not answer.
            ModelError: The model refused the inputs or failed, or its answers would be misread.
            JobDroppedError: It was not run in time, or its lane was full.
            MessageError: A dtype that does not travel.
        """
        question, patience_s = self._question(inputs, tier, deadline_ns, source, clock)
        answer = await bus.call(self._service, question, Inferred, timeout_s=patience_s)
        if answer.origin.meaning != self._read_as and self._read_as:
            self.origin = answer.origin
            raise self._misread(source)
        return RemoteAnswer(arrays_of(answer.tensors), answer.origin)

    def _misread(self, source: str) -> ModelError:
        """Say that the host runs something else than the reader knows, and what to do."""
        there, here = self.origin, self._reader
        return ModelError(
            f"model {self.name}: {self.host} runs {_called(there)}, whose labels, tensors or "
            f"options are others than those of {_called(here)}, by which {source} would misread "
            "its answers; name the same folder in both, and launch anew if it was changed since"
        )

    def _question(
        self,
        inputs: Mapping[str, NDArray[Any]],
        tier: Tier,
        deadline_ns: int,
        source: str,
        clock: Clock,
    ) -> tuple[Infer, float]:
        """Return what to ask, and how long to wait for the answer, s.

        Raises:
            MessageError: A dtype that does not travel.
        """
        deadline, patience_s = 0, PATIENCE_S
        if deadline_ns != NEVER_NS:
            left_s = (deadline_ns - clock.now_ns()) / NS_PER_S
            deadline, patience_s = deadline_ns, max(0.0, left_s) + _GRACE_S
        asked = question_of(self.name, inputs, tier=tier, deadline=deadline, source=source)
        return asked, patience_s

    @staticmethod
    def room(bus: Bus, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array to write an input into, so that it travels without a copy."""
        return bus.loan(shape, dtype)


class _Loaded(Protocol):
    """A model that was loaded for a replay."""

    digest: str

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Compute the outputs."""


def pack_answer(answer: RemoteAnswer) -> dict[str, Any]:
    """Return what a journal keeps of an answer.

    Of a model that can run again it is a checksum; of one that was far away all of it.
    """
    origin = answer.origin
    if not origin.loader:
        return {"tensors": _packed(answer.tensors)}
    names = {"loader": origin.loader, "place": origin.place, "digest": origin.digest}
    if origin.title:  # which older journals don't keep
        names["title"] = origin.title
    return {**names, "sums": checksum(answer.tensors)}


def is_hosted(packed: Any) -> bool:
    """Tell whether a journal keeps this of a model in a model host that can run again."""
    return isinstance(packed, dict) and isinstance(packed.get("loader"), str)


def unpack_answer(packed: Mapping[str, Any]) -> RemoteAnswer:
    """Return an answer that a journal keeps whole."""
    tensors = {
        name: np.frombuffer(data, np.dtype(dtype)).reshape(shape)
        for name, (dtype, shape, data) in packed["tensors"].items()
    }
    return RemoteAnswer(tensors, ModelOrigin())


def run_again(inputs: Mapping[str, NDArray[Any]], packed: Mapping[str, Any]) -> RemoteAnswer:
    """Run here the model that answered, or take its answer from the journal.

    Args:
        inputs: Tensors by name.
        packed: What `pack_answer` made.

    Raises:
        ModelError: There is no such model here, or it fails.
    """
    if not is_hosted(packed):
        return unpack_answer(packed)
    model = _loaded(packed["loader"], packed["place"])
    origin = ModelOrigin(
        loader=packed["loader"],
        place=packed["place"],
        digest=model.digest,
        title=packed.get("title", ""),
    )
    return RemoteAnswer(model.run(inputs), origin)


@lru_cache(maxsize=16)
def _loaded(loader: str, place: str) -> _Loaded:
    module, _, name = loader.partition(":")
    try:
        load = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"model {place}: {loader} is not installed here: {error}") from error
    return cast("_Loaded", load(place))


def _called(origin: ModelOrigin) -> str:
    return f"{origin.title} ({origin.place})" if origin.title else "a model that it does not name"


def _packed(tensors: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    return {name: [one.dtype.str, list(one.shape), one.tobytes()] for name, one in tensors.items()}
