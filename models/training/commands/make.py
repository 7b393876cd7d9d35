"""Makes the shipped planner out of trained weights: GGUF, Q8_0, its figures, its manifest.

With torch and gguf (`--weights`) it writes the float file; with llama-cpp-python all that follows:

    python -m olympus.models.training.commands.make --weights build/three --float build/planner-f32.gguf
    python -m olympus.models.training.commands.make --float build/planner-f32.gguf \\
        --out models/zoo/planner --cpu-s 3224

When the code around the model has changed, its figures are taken anew, where its float file is at hand (`--float`)
beside those of the float one:

    python -m olympus.models.training.commands.make --again models/zoo/planner --n 1000
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import logging
from importlib.metadata import version
from pathlib import Path

from olympus.models import llama_native
from olympus.models.llama import LlamaModel
from olympus.models.manifest import (
    MANIFEST_NAME,
    Accuracy,
    Manifest,
    ModelFile,
    Recipe,
    SelfTest,
    WeightQuantization,
    write_manifest,
)
from olympus.models.planner.planner import SURE
from olympus.models.profile import board_name, measure
from olympus.models.registry import Registry, StoredModel
from olympus.models.training.commands.evaluate import Score, examine, score, sets

log = logging.getLogger("make")
FILE = "planner-q8_0.gguf"
SHORT = {
    "held-out commands": ("held-out", "commands of the generator, sentences never trained on"),
    "unseen names, known to the site": ("unseen-names", "the same, with names never trained on"),
    "unseen names, unknown to the site": (
        "unknown-names",
        "the same, where the site does not know the names either",
    ),
    "written by people, looked at": (
        "people-seen",
        "paraphrases.txt, every first: errors were looked at while it was made",
    ),
    "written by people, never looked at": (
        "people",
        "paraphrases.txt, every second: only ever counted",
    ),
}
LIMITS = (
    "English; the verbs patrol, go, turn, wait, stop, continue and what ends them. It knows no conditions "
    "but 'until', no speeds, distances, times of day, or choices, and should ask back then; of the answers "
    "it gives without asking, the share in right.* is right, so let it say back what it understood, and rest "
    "nothing on it that must be safe. Trained on made-up sentences only; the hand-written ones are by one "
    "author. Names that the site does not know are often missed. A place that comes again, and three steps in "
    "unusual order, are its commonest errors."
)


def accuracies(
    small: dict[str, Score], full: dict[str, Score] | None = None
) -> tuple[Accuracy, ...]:
    """Write the scores as a manifest's figures: the quantized model's beside the float one's."""
    found = []
    for name, (short, data) in SHORT.items():
        for metric, n in (("exact", "commands"), ("given", "commands"), ("right", "answered")):
            made = Accuracy(
                metric=f"{metric}.{short}",
                value=round(getattr(small[name], metric), 4),
                data=data,
                n=max(1, getattr(small[name], n)),
            )
            if full is not None:
                was = round(getattr(full[name], metric), 4)
                made = made.model_copy(update={"float_value": was})
            found.append(made)
    return tuple(found)


def quantized(source: Path, target: Path) -> None:
    """Let llama.cpp write a file as Q8_0."""
    native = llama_native.library()
    settings = native.llama_model_quantize_default_params()
    settings.ftype, settings.nthread = native.LLAMA_FTYPE_MOSTLY_Q8_0, 1
    with llama_native.quiet_stderr():
        code = native.llama_model_quantize(
            str(source).encode(), str(target).encode(), ctypes.byref(settings)
        )
    log.info("%s -> %s (%d)", source, target, code)


def manifest_for(path: Path, source: Path, sure: float, cpu_s: float) -> Manifest:
    """Describe a file, without figures."""
    data = path.read_bytes()
    return Manifest(
        name="planner",
        version="1.1.0",
        task="plan",
        format="gguf",
        licence="Apache-2.0",
        description="Turns an operator's sentence into a plan of steps, or asks back.",
        files=(
            ModelFile(path=path.name, sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)),
        ),
        options={"context_tokens": 192, "places": 4, "sure": sure},
        quantization=WeightQuantization(
            scheme="q8_0", source_sha256=hashlib.sha256(source.read_bytes()).hexdigest()
        ),
        self_test=(
            SelfTest(
                prompt="<|begin|> go to the P1 and wait N1 seconds<|answer|>",
                answer='[{"do":"go","place":" P1"},{"do":"wait","seconds": N1}]',
            ),
        ),
        recipe=Recipe(
            script="olympus.models.training.commands.train (three runs, see there), then .make",
            seed=0,
            versions={"llama-cpp-python": version("llama-cpp-python"), "torch": "2.13.0+cpu"},
            cpu_s=cpu_s,
        ),
        limits=LIMITS,
    )


def scores_of(stored: StoredModel, n: int, sure: float) -> dict[str, Score]:
    """Examine a file with all sets."""
    model = LlamaModel.load(stored)
    found = {name: score(examine(model, questions, sure)) for name, questions in sets(n).items()}
    model.close()
    for name, one in found.items():
        log.info("%-36s exact %.3f given %.3f right %.3f", name, one.exact, one.given, one.right)
    return found


def float_file(work: Path, target: Path) -> None:
    """Write trained weights as a float GGUF file."""
    import torch

    from olympus.models.training.commands.bpe import Tokenizer
    from olympus.models.training.commands.export import export
    from olympus.models.training.commands.net import Shape

    state = torch.load(work / "planner.pt", weights_only=True)
    merges = [(a, b) for a, b in json.loads((work / "merges.json").read_text())]
    export(state["weights"], Shape(**state["shape"]), Tokenizer(merges), target)
    log.info("%s: step %d, %.0f CPU s", target, state["step"], state["cpu_s"])


def examined_again(folder: Path, source: Path | None, n: int) -> None:
    """Put figures of the present code into the manifest of a planner that was made before.

    Args:
        folder: The planner's.
        source: Its float file, if that is at hand.
        n: Questions of each generated set.
    """
    stored = Registry().find(str(folder))
    known, sure = stored.manifest, stored.manifest.option("sure", SURE)
    full = None
    if source is not None:
        plain = manifest_for(
            source, source, sure, (known.recipe.cpu_s if known.recipe else None) or 1.0
        )
        full = scores_of(StoredModel(plain, source.parent), n, sure)
    figures = accuracies(scores_of(stored, n, sure), full)
    taken = {entry.metric for entry in figures}
    figures += tuple(entry for entry in known.accuracy if entry.metric not in taken)
    write_manifest(known.model_copy(update={"accuracy": figures}), folder / MANIFEST_NAME)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="folder of a training")
    parser.add_argument("--float", type=Path, dest="source")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--again", type=Path, help="folder of a planner that is examined anew")
    parser.add_argument("--n", type=int, default=300, help="questions of each generated set")
    parser.add_argument("--sure", type=float, default=0.9, help="odds below which it asks back")
    parser.add_argument("--cpu-s", type=float, default=1.0, help="what the training took")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.again:
        examined_again(args.again, args.source, args.n)
        return
    if args.source is None:
        parser.error("--float is missing: the file that the shipped one is made from")
    if args.weights:
        float_file(args.weights, args.source)
    if not args.out:
        return
    args.out.mkdir(parents=True, exist_ok=True)
    quantized(args.source, args.out / FILE)
    manifest = manifest_for(args.out / FILE, args.source, args.sure, args.cpu_s)
    plain = manifest_for(args.source, args.source, args.sure, args.cpu_s)
    full = scores_of(StoredModel(plain, args.source.parent), args.n, args.sure)
    stored = StoredModel(manifest, args.out)
    small = scores_of(stored, args.n, args.sure)
    timing = measure(stored)
    known: dict[str, object] = {"accuracy": accuracies(small, full)}
    known["latency"] = (timing.latency(board_name()),)
    known["memory_mb"] = timing.memory_mb
    write_manifest(manifest.model_copy(update=known), args.out / MANIFEST_NAME)


if __name__ == "__main__":
    main()
