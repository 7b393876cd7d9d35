"""Trains the sound model, quantizes it, measures it, and writes it with its manifest.

Run `python -m olympus.models.training.sound_train --out models/zoo/sound-events`; one thread,
seeded, about four minutes. Needs `pip install olympus-edge[train]` and `apt install espeak-ng`.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from olympus.models.audio_features import BANDS, FRAMES
from olympus.models.manifest import (
    Accuracy,
    Manifest,
    ModelFile,
    Recipe,
    Tensor,
    WeightQuantization,
    write_manifest,
)
from olympus.models.onnx import open_model
from olympus.models.swap import self_test_of
from olympus.models.training.evaluate import memory_mb
from olympus.models.training.quantize import SCHEME, quantize
from olympus.models.training.sound_data import HELD_OUT, LABELS, TRAINING, make_set
from olympus.models.training.sound_evaluate import (
    Features,
    Listen,
    Score,
    features_of,
    score,
    time_runs,
)
from olympus.models.training.sound_net import SoundNet, WithSoftmax, train

log = logging.getLogger("sound_train")

CALIBRATION_N = 300
FILE = "sound-events-int8.onnx"
VOICES = {
    "espeak": "held-out espeak-ng voices and held-out events, in random rooms",
    "formant": "held-out seeds of the formant voice and events, in random rooms",
}
LIMITS = (
    "Trained on synthetic speech and synthetic events only; never tried on real people. English "
    "commands, 16 kHz, one second at a time. 'hell' passes for 'help', 'stock' in noise may pass "
    "for 'stop', and drums in recorded music for a crash. The held-out set was looked at while "
    "the network was chosen. A heard 'stop' may add a request to stop; it is never the safety "
    "path, and silence never means that all is well."
)


@dataclass(frozen=True, slots=True)
class Result:
    """What training gave."""

    parameters: int
    cpu_s: float
    source_sha256: str
    small: dict[str, Score]
    """Scores of the INT8 model, by kind of voice."""
    full: dict[str, Score]
    """Scores of the float model on the same examples."""


def cpu_seconds() -> float:
    """Tell the processor time used so far, espeak-ng's processes included."""
    return sum(os.times()[:4])


def export(net: SoundNet, path: Path) -> None:
    """Write the network as float ONNX: log-mel frames in, probabilities out."""
    torch.onnx.export(
        WithSoftmax(net).eval(),
        (torch.zeros(1, FRAMES, BANDS),),
        str(path),
        input_names=["log_mel"],
        output_names=["probabilities"],
        opset_version=17,
        dynamo=False,
    )


def listener(path: Path) -> Listen:
    """Load an ONNX file for measuring."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def listen(features: Features) -> NDArray[np.float32]:
        return np.asarray(session.run(None, {"log_mel": features})[0], np.float32)

    return listen


def make(out: Path, *, seed: int, epochs: int, cache: Path | None) -> Result:
    """Train, export, quantize and measure; the INT8 file goes to `out`."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    started = cpu_seconds()
    waves, labels = make_set(TRAINING, held_out=False, voices="both", seed=seed + 1, cache=cache)
    features = features_of(waves)
    log.info("%d examples after %.0f CPU-s", len(labels), cpu_seconds() - started)
    net = train(features, labels, epochs=epochs, seed=seed)
    cpu_s = cpu_seconds() - started
    log.info("trained after %.0f CPU-s", cpu_s)
    chosen = np.random.default_rng(seed).choice(len(features), CALIBRATION_N, replace=False)
    with tempfile.TemporaryDirectory() as folder:
        full = Path(folder) / "float.onnx"
        export(net, full)
        feeds = ({"log_mel": features[i : i + 1]} for i in chosen)
        source = quantize(full, out / FILE, feeds, keep_float=["probabilities"])
        scores = [measured(listener(p), seed=seed, cache=cache) for p in (out / FILE, full)]
    parameters = sum(p.numel() for p in net.parameters())
    return Result(parameters, cpu_s, source, small=scores[0], full=scores[1])


def measured(listen: Listen, *, seed: int, cache: Path | None) -> dict[str, Score]:
    """Score a model on both kinds of held-out voices."""
    scores = {}
    for voices in VOICES:
        waves, labels = make_set(HELD_OUT, held_out=True, voices=voices, seed=seed + 1, cache=cache)
        scores[voices] = score(listen, features_of(waves), labels)
        log.info("%s: %s", voices, scores[voices])
    return scores


def accuracies(result: Result) -> tuple[Accuracy, ...]:
    """List every figure, INT8 beside float."""
    entries = []
    for voices, data in VOICES.items():
        small, full = result.small[voices], result.full[voices]

        def entry(metric: str, value: float, was: float, n: int, where: str = data) -> Accuracy:
            return Accuracy(
                metric=metric, value=round(value, 4), float_value=round(was, 4), data=where, n=n
            )

        others = small.n - small.count["stop"]
        entries += [
            entry(f"accuracy.{voices}", small.accuracy, full.accuracy, small.n),
            entry(f"false-stop.{voices}", small.false_stop, full.false_stop, others),
            entry(
                f"false-stop-at-0.8.{voices}", small.false_stop_sure, full.false_stop_sure, others
            ),
            entry(f"stop-at-0.8.{voices}", small.stop_sure, full.stop_sure, small.count["stop"]),
        ]
        entries += [
            entry(f"recall.{label}.{voices}", small.recall[label], full.recall[label], n)
            for label, n in small.count.items()
        ]
    return tuple(entries)


def manifest(out: Path, result: Result, *, seed: int, board: str) -> Manifest:
    """Describe the model in `out`."""
    data = (out / FILE).read_bytes()
    sha256 = hashlib.sha256(data).hexdigest()
    return Manifest(
        name="sound-events",
        version="0.1.0",
        task="classify-sound",
        licence="Apache-2.0",
        description="Hears stop, go, help, siren, crash, clap, glass and alarm in one second.",
        files=(ModelFile(path=FILE, sha256=sha256, bytes=len(data)),),
        inputs=(
            Tensor(
                name="log_mel",
                dtype="float32",
                shape=(1, FRAMES, BANDS),
                layout="N, 10 ms frames oldest first, mel bands",
                units="natural log of power, from olympus.models.audio_features",
            ),
        ),
        outputs=(
            Tensor(
                name="probabilities",
                dtype="float32",
                shape=(1, len(LABELS)),
                units="probability",
                range=(0.0, 1.0),
            ),
        ),
        labels=LABELS,
        options={"rate_hz": 16000},
        quantization=WeightQuantization(
            scheme=SCHEME, calibration_n=CALIBRATION_N, source_sha256=result.source_sha256
        ),
        accuracy=accuracies(result),
        latency=(time_runs(listener(out / FILE), board),),
        recipe=Recipe(
            script="olympus.models.training.sound_train",
            seed=seed,
            versions={name: version(name) for name in ("torch", "onnxruntime", "numpy")},
            cpu_s=round(result.cpu_s),
        ),
        limits=LIMITS,
    )


def main() -> None:
    """Make the model and its manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--board", default="x86-64", help="what latency is filed under")
    parser.add_argument("--cache", type=Path, help="folder that keeps the examples between runs")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.out.mkdir(parents=True, exist_ok=True)
    result = make(args.out, seed=args.seed, epochs=args.epochs, cache=args.cache)
    described = manifest(args.out, result, seed=args.seed, board=args.board)
    path = args.out / "manifest.yaml"
    write_manifest(described, path)
    model = open_model(str(path))
    test = self_test_of(model, "probabilities", fill=0.0, tolerance=0.05)
    more = {"memory_mb": memory_mb(path), "self_test": (test,)}
    write_manifest(described.model_copy(update=more), path)
    log.info("%d parameters, %s", result.parameters, args.out / FILE)


if __name__ == "__main__":
    main()
