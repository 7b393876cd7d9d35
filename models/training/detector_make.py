"""Makes the shipped detector: trains, quantizes, measures, and writes it with its manifest."""

from __future__ import annotations

import argparse
import hashlib
import logging
import time
from importlib.metadata import version
from pathlib import Path

from olympus.models.manifest import (
    Accuracy,
    Latency,
    Manifest,
    ModelFile,
    Recipe,
    Tensor,
    WeightQuantization,
    write_manifest,
)
from olympus.models.onnx import OnnxModel
from olympus.models.registry import StoredModel
from olympus.models.swap import self_test_of
from olympus.models.training.detector_data import (
    CELL_PX,
    COLUMNS,
    HEIGHT,
    LABELS,
    ROWS,
    TEST_SEED,
    TRAIN_SEED,
    WIDTH,
    make_examples,
)
from olympus.models.training.detector_train import Plan, export, train
from olympus.models.training.evaluate import (
    MIN_CONFIDENCE,
    Score,
    detector,
    evaluate,
    memory_mb,
    time_runs,
)
from olympus.models.training.quantize import SCHEME, quantize

log = logging.getLogger("detector_make")

FILE, FLOAT_FILE = "person-obstacle-int8.onnx", "float.onnx"
CALIBRATION_BUILDINGS, TEST_BUILDINGS = 20, 50
LIMITS = """\
Trained on pictures of the project's simulator only: upright people of one height and a few kinds
of furniture, in corridors and rooms, seen by a camera 0.46 m above the floor with 80 degrees of
horizontal view. On pictures of a real camera it was not measured and will mostly be wrong; take
another model there. Chairs, bins and plants nearby are sometimes taken for a person; two people who
cover each other may be one box; things smaller than about 6 px or farther than 8 m are often
missed. Walls and doors are background: leave them to range sensors. No part of the safety path
may rest on it."""


def describe(data: bytes, source_sha256: str = "") -> Manifest:
    """Describe the model's file, without what is measured."""
    shape = (1, ROWS, COLUMNS)
    return Manifest(
        name="person-obstacle",
        version="0.1.0",
        task="detect",
        licence="Apache-2.0",
        description="Finds people and furniture in the simulated camera's pictures.",
        files=(ModelFile(path=FILE, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)),),
        inputs=(
            Tensor(
                name="image",
                dtype="uint8",
                shape=(1, HEIGHT, WIDTH, 3),
                layout="NHWC",
                units="intensity",
                colour="rgb",
                range=(0, 255),
            ),
        ),
        outputs=(
            Tensor(
                name="logits",
                dtype="float32",
                shape=(*shape, len(LABELS)),
                layout="N, cell rows, cell columns, classes",
                units="logit",
            ),
            Tensor(
                name="edges",
                dtype="float32",
                shape=(*shape, 4),
                layout="N, cell rows, cell columns, left top right bottom",
                units="px from the far side of the cell",
            ),
        ),
        labels=LABELS,
        options={"cell_px": CELL_PX},
        quantization=WeightQuantization(
            scheme=f"{SCHEME}; the two last layers float",
            calibration_n=12 * CALIBRATION_BUILDINGS,
            source_sha256=source_sha256 or hashlib.sha256(data).hexdigest(),
        ),
        limits=LIMITS.replace("\n", " "),
    )


MEASURES = (
    ("person-cell-f1", "person_cell_f1", "n"),
    ("obstacle-cell-f1", "obstacle_cell_f1", "n"),
    ("person-recall", "person_recall", "people"),
    ("obstacle-recall", "obstacle_recall", "obstacles"),
    ("person-in-view-seen", "person_seen", "with_person"),
    ("person-false-rate", "person_false", "without_person"),
    ("person-precision", "person_precision", "person_boxes"),
    ("person-box-iou", "person_iou", "people"),
    ("bearing-error-median-deg", "bearing_error_deg", "people"),
    ("bearing-error-p95-deg", "bearing_error_p95_deg", "people"),
)
"""Name in the manifest, field of the score, field that counts the cases."""


def accuracies(small: Score, full: Score) -> tuple[Accuracy, ...]:
    """List the score of the INT8 file beside that of the float file."""
    data = (
        f"{small.n} pictures of simulated buildings {TEST_SEED}.."
        f"{TEST_SEED + TEST_BUILDINGS - 1}, unseen in training, confidence {MIN_CONFIDENCE}"
    )
    return tuple(
        Accuracy(
            metric=metric,
            value=round(getattr(small, field), 4),
            float_value=round(getattr(full, field), 4),
            data=data,
            n=getattr(small, count),
        )
        for metric, field, count in MEASURES
    )


def load(folder: Path, file: str) -> OnnxModel:
    """Load a file that has no manifest yet."""
    data = (folder / file).read_bytes()
    entry = describe(data).files[0].model_copy(update={"path": file})
    return OnnxModel.load(
        StoredModel(describe(data).model_copy(update={"files": (entry,)}), folder)
    )


def make(out: Path, source: Path, *, board: str) -> Manifest:
    """Quantize a float file into `out`, measure both, and describe the result."""
    calibration = make_examples(TRAIN_SEED, CALIBRATION_BUILDINGS)
    feeds = ({"image": image[None]} for image in calibration.images)
    sha256 = quantize(source, out / FILE, feeds, keep_float=("logits", "edges"))
    small, full = load(out, FILE), load(source.parent, source.name)
    examples = make_examples(TEST_SEED, TEST_BUILDINGS)
    scores = [evaluate(detector(model), examples) for model in (small, full)]
    timed = time_runs(small, examples.images[0])
    return describe((out / FILE).read_bytes(), sha256).model_copy(
        update={
            "accuracy": accuracies(*scores),
            "latency": (Latency.model_validate({"board": board, **timed}),),
        }
    )


def main() -> None:
    """Make the model and its manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--work", type=Path, required=True, help="folder for the float file")
    parser.add_argument("--reuse", action="store_true", help="take the float file already there")
    parser.add_argument("--seed", type=int, default=Plan().seed)
    parser.add_argument("--board", default="x86-64", help="what latency is filed under")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    for folder in (args.out, args.work):
        folder.mkdir(parents=True, exist_ok=True)
    source = args.work / FLOAT_FILE
    if not args.reuse:
        export(train(Plan(seed=args.seed)), source)
    spent = None if args.reuse else round(time.process_time())
    described = make(args.out, source, board=args.board)
    recipe = Recipe(
        script="olympus.models.training.detector_make",
        seed=args.seed,
        cpu_s=spent,
        versions={name: version(name) for name in ("torch", "onnxruntime", "numpy", "mujoco-core")},
    )
    path = args.out / "manifest.yaml"
    write_manifest(described, path)
    test = self_test_of(load(args.out, FILE), "logits", fill=100.0, tolerance=0.75)
    more = {"memory_mb": memory_mb(path), "self_test": (test,), "recipe": recipe}
    write_manifest(described.model_copy(update=more), path)
    log.info("%s", described.accuracy)


if __name__ == "__main__":
    main()
