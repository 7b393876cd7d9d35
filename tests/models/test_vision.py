from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from olympus.models.manifest import Manifest
from olympus.models.picture import Fit
from olympus.models.vision import GridSight, WholeSight, sight_of
from olympus.runtime.errors import ModelError

FILE = {"path": "x.onnx", "sha256": "0" * 64, "bytes": 1}
PICTURE = {"name": "image", "dtype": "uint8", "shape": (1, 12, 16, 3)}


def manifest(**changes: Any) -> Manifest:
    return Manifest.model_validate(
        {
            "name": "eye",
            "version": "1.0.0",
            "task": "classify",
            "licence": "MIT",
            "files": [FILE],
            "inputs": [PICTURE],
            "outputs": [{"name": "chances", "dtype": "float32", "shape": ("batch", 3)}],
            "labels": ["background", "person", "cat"],
        }
        | changes
    )


def logits(rows: int = 3, columns: int = 4, classes: int = 3) -> dict[str, Any]:
    return {"name": "logits", "dtype": "float32", "shape": (1, rows, columns, classes)}


GRID: dict[str, Any] = {"task": "detect", "outputs": [logits()], "options": {"cell_px": 4}}


def test_a_classifier_that_sees_a_person_gives_one_whole_box() -> None:
    sight = sight_of(manifest())
    outputs = {"chances": np.array([[0.1, 0.7, 0.2]], np.float32)}
    (found,) = sight.read(outputs, Fit(), 0.5)
    assert (found.label, found.x, found.y, found.w, found.h) == ("person", 0, 0, 1, 1)
    assert found.confidence == pytest.approx(0.7)


@pytest.mark.parametrize("chances", [[0.8, 0.1, 0.1], [0.3, 0.4, 0.3]])
def test_background_or_an_unsure_answer_is_no_detection(chances: list[float]) -> None:
    outputs = {"chances": np.array([chances], np.float32)}
    assert sight_of(manifest()).read(outputs, Fit(), 0.5) == ()


def test_logits_of_a_classifier_become_chances() -> None:
    output = {"name": "chances", "dtype": "float32", "shape": (1, 3), "units": "logit"}
    sight = sight_of(manifest(outputs=[output]))
    (found,) = sight.read({"chances": np.array([[0, 0, 5]], np.float32)}, Fit(), 0.5)
    assert found.label == "cat"
    assert found.confidence == pytest.approx(0.987, abs=0.001)


def test_a_detector_without_edges_gives_rectangles_of_cells() -> None:
    sight = sight_of(manifest(**GRID))
    values = np.zeros((1, 3, 4, 3), np.float32)
    values[..., 0] = 9
    values[0, 1, 2] = (0, 9, 0)
    (found,) = sight.read({"logits": values}, Fit(), 0.5)
    assert (found.x, found.y, found.w, found.h) == pytest.approx((2 / 4, 1 / 3, 1 / 4, 1 / 3))


def test_a_blue_first_model_gets_blue_first() -> None:
    sight = sight_of(manifest(inputs=[PICTURE | {"colour": "bgr"}]))
    feed, _ = sight.feed(np.full((12, 16, 3), (1, 2, 3), np.uint8))
    assert feed["image"][0, 0, 0].tolist() == [3, 2, 1]


def test_a_picture_of_the_models_size_is_fed_in_place() -> None:
    frame = np.zeros((12, 16, 3), np.uint8)
    feed, _ = sight_of(manifest()).feed(frame)
    assert feed["image"].shape == (1, 12, 16, 3)
    assert np.shares_memory(feed["image"], frame)


def test_the_task_chooses_how_a_model_is_asked() -> None:
    assert isinstance(sight_of(manifest()), WholeSight)
    assert isinstance(sight_of(manifest(**GRID)), GridSight)
    with pytest.raises(ModelError, match="model eye: task anomaly sees nothing"):
        sight_of(manifest(task="anomaly"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (GRID | {"labels": ["background", "cat"]}, "label for each class"),
        (GRID | {"outputs": [logits() | {"name": "boxes"}]}, "needs an output logits"),
        ({"labels": ["a", "b"]}, r"outputs\.shape is \['batch', 3\]"),
        ({"inputs": [PICTURE | {"shape": (1, 3, 12, 16)}]}, r"one picture .* \[1, 3, 12, 16\]"),
        ({"inputs": [PICTURE | {"shape": (1, "h", "w", 3)}]}, "one picture"),
    ],
)
def test_tensors_that_do_not_fit_the_task_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ModelError, match=f"model eye: .*{message}"):
        sight_of(manifest(**changes))
