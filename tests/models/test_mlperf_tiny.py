"""Third-party models, trained elsewhere, go through the same door as ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from olympus.models import tensors
from olympus.models.onnx import OnnxModel, open_model
from olympus.models.vision import sight_of

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = REPOSITORY.parent / "shared"
MANIFESTS = sorted((Path(__file__).parent / "mlperf_tiny").glob("*.yaml"))

needs_models = pytest.mark.skipif(
    not (SHARED / "models" / "mlperf-tiny").is_dir(),
    reason="the MLPerf Tiny models are not there: ../shared/models/mlperf-tiny",
)
needs_video = pytest.mark.skipif(
    not (SHARED / "media" / "one-by-one-person.mp4").is_file(),
    reason="the recorded video is not there: ../shared/media/one-by-one-person.mp4",
)


def random_input(model: OnnxModel, seed: int) -> np.ndarray:
    """Real values of a plausible size, stored as the model takes them."""
    tensor = model.manifest.inputs[0]
    shape = [1 if isinstance(dim, str) else dim for dim in tensor.shape]
    values = np.random.default_rng(seed).uniform(0, 1, shape).astype(np.float32)
    return tensors.prepare(values * (255 if tensor.colour else 1), tensor)


@needs_models
@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_third_party_model_loads_and_runs(path: Path) -> None:
    model = open_model(str(path))
    tensor = model.manifest.inputs[0]
    found = model.run({tensor.name: random_input(model, 1)})
    output = model.manifest.outputs[0]
    values = tensors.dequantize(found[output.name], output)
    assert np.isfinite(values).all()
    if model.manifest.task != "anomaly":
        assert values.shape == (1, len(model.manifest.labels))
        assert values.sum() == pytest.approx(1.0, abs=0.03)


@needs_models
@pytest.mark.parametrize("name", ["vww_96", "kws", "ad01", "resnet8_cifar10"])
def test_the_int8_file_answers_like_the_float_file(name: str) -> None:
    folder = Path(__file__).parent / "mlperf_tiny"
    models = [open_model(str(folder / f"{name}_{kind}.yaml")) for kind in ("float", "int8")]
    answers = []
    for model in models:
        inputs, outputs = model.manifest.inputs[0], model.manifest.outputs[0]
        found = model.run({inputs.name: random_input(model, 2)})
        answers.append(tensors.dequantize(found[outputs.name], outputs))
    spread = float(np.ptp(answers[0])) or 1.0
    assert np.abs(answers[0] - answers[1]).mean() < 0.1 * spread


@needs_models
@needs_video
@pytest.mark.parametrize("kind", ["int8", "float"])
def test_a_person_is_seen_on_real_video_and_the_empty_floor_is_not_taken_for_one(
    kind: str,
) -> None:
    model = open_model(str(Path(__file__).parent / "mlperf_tiny" / f"vww_96_{kind}.yaml"))
    sight = sight_of(model.manifest)
    chances = []
    for frame in frames(SHARED / "media" / "one-by-one-person.mp4", every=10):
        feed, where = sight.feed(frame)
        found = sight.read(model.run(feed), where, 0.0)
        chances.append(max((one.confidence for one in found), default=0.0))
    empty, walkers = chances[:6], (chances[25:40], chances[50:65], chances[70:80])
    assert max(empty) < 0.1
    assert all(max(chances) > 0.9 for chances in walkers)


def frames(path: Path, *, every: int) -> Iterator[NDArray[np.uint8]]:
    """Read every so-manieth frame of a video, RGB."""
    video = cv2.VideoCapture(str(path))
    index = 0
    while video.grab():
        if index % every == 0:
            yield np.asarray(video.retrieve()[1][..., ::-1], np.uint8)
        index += 1
    video.release()
