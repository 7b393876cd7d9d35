"""The shipped detector, measured again on a few buildings it has never seen."""

from __future__ import annotations

import pytest

from olympus.models.onnx import OnnxModel, open_model
from olympus.models.training.detector_data import LABELS, TEST_SEED, Examples, make_examples
from olympus.models.training.evaluate import Score, detector, evaluate, time_runs

BUILDINGS = 8


@pytest.fixture(scope="module")
def model() -> OnnxModel:
    return open_model("person-obstacle")


@pytest.fixture(scope="module")
def examples() -> Examples:
    return make_examples(TEST_SEED, BUILDINGS)


@pytest.fixture(scope="module")
def score(model: OnnxModel, examples: Examples) -> Score:
    return evaluate(detector(model), examples)


@pytest.mark.parametrize(
    ("metric", "field", "slack"),
    [
        ("person-cell-f1", "person_cell_f1", 0.03),
        ("obstacle-cell-f1", "obstacle_cell_f1", 0.08),
        ("person-recall", "person_recall", 0.08),
        ("person-in-view-seen", "person_seen", 0.04),
        ("person-precision", "person_precision", 0.08),
        ("person-box-iou", "person_iou", 0.05),
    ],
)
def test_the_shipped_file_is_as_good_as_its_manifest_says(
    model: OnnxModel, score: Score, metric: str, field: str, slack: float
) -> None:
    assert getattr(score, field) >= model.manifest.accuracy_of(metric).value - slack


def test_errors_stay_as_small_as_the_manifest_says(model: OnnxModel, score: Score) -> None:
    claimed = model.manifest.accuracy_of
    assert score.person_false <= claimed("person-false-rate").value + 0.06
    assert score.bearing_error_deg <= claimed("bearing-error-median-deg").value + 0.3


def test_int8_costs_less_than_a_point_of_cell_f1(model: OnnxModel) -> None:
    for metric in ("person-cell-f1", "obstacle-cell-f1"):
        entry = model.manifest.accuracy_of(metric)
        assert entry.float_value is not None
        assert abs(entry.value - entry.float_value) < 0.01


def test_the_manifest_names_what_it_is(model: OnnxModel) -> None:
    manifest = model.manifest
    assert manifest.labels == LABELS
    assert "simulator" in manifest.limits
    assert manifest.latency_on("x86-64") is not None
    assert manifest.quantization is not None
    assert manifest.quantization.source_sha256 != manifest.model_file.sha256


def test_a_run_is_short(model: OnnxModel, examples: Examples) -> None:
    assert time_runs(model, examples.images[0], runs=100)["p50_ms"] < 20


def test_two_runs_give_the_same_bits(model: OnnxModel, examples: Examples) -> None:
    runs = [model.run({"image": examples.images[:1]}) for _ in range(2)]
    assert all((runs[0][name] == runs[1][name]).all() for name in ("logits", "edges"))
