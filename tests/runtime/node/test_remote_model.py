"""What a journal keeps of a model host's answer, and what a replay makes of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from olympus.models.onnx import open_model
from olympus.runtime.errors import ModelError
from olympus.runtime.messages.inference import ModelOrigin
from olympus.runtime.node.remote_model import RemoteAnswer, pack_answer, run_again

NAME, LOADER = "person-obstacle", "olympus.models.onnx:open_model"


def picture(seed: int) -> dict[str, np.ndarray[Any, Any]]:
    tensor = open_model(NAME).manifest.inputs[0]
    shape = tuple(dim if isinstance(dim, int) else 1 for dim in tensor.shape)
    pixels = np.random.default_rng(seed).integers(0, 255, shape)
    return {tensor.name: pixels.astype(tensor.dtype)}


def test_a_model_that_answered_runs_again_and_gives_the_same_checksums() -> None:
    model = open_model(NAME)
    origin = ModelOrigin(loader=LOADER, place=NAME, digest=model.digest)
    kept = pack_answer(RemoteAnswer(model.run(picture(1)), origin))
    assert not any(isinstance(one, bytes) for one in kept.values())  # no tensor is kept
    assert pack_answer(run_again(picture(1), kept)) == kept
    assert pack_answer(run_again(picture(2), kept)) != kept


def test_of_a_far_model_the_answer_itself_is_kept() -> None:
    tensors = {"y": np.arange(6, dtype=np.float32).reshape(2, 3)}
    kept = pack_answer(RemoteAnswer(tensors, ModelOrigin()))
    found = run_again(picture(1), kept)
    assert list(found.tensors) == ["y"]
    assert found.tensors["y"].dtype == np.float32
    assert np.array_equal(found.tensors["y"], tensors["y"])


@pytest.mark.parametrize(
    ("loader", "place", "said"),
    [
        (LOADER, "no-such", "'no-such' is not known"),
        ("olympus.models.onnx:no_such", NAME, "is not installed here"),
        ("no_such_room:load", NAME, "is not installed here"),
    ],
)
def test_a_model_that_is_not_here_is_named(loader: str, place: str, said: str) -> None:
    kept = {"loader": loader, "place": place, "digest": "", "sums": {}}
    with pytest.raises(ModelError, match=said):
        run_again(picture(1), kept)
