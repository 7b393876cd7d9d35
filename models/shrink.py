"""Makes models small, and says what that costs: accuracy, size and time before and after."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from olympus.models import llama_native
from olympus.models.describe import describe
from olympus.models.examples import Example, read_examples, split
from olympus.models.gguf_file import look_into
from olympus.models.llama import LlamaModel
from olympus.models.manifest import (
    MANIFEST_NAME,
    Accuracy,
    Manifest,
    WeightQuantization,
    is_name,
    make_manifest,
    read_manifest,
    write_manifest,
)
from olympus.models.onnx import OnnxModel
from olympus.models.profile import Timing, board_name, measure
from olympus.models.registry import StoredModel
from olympus.models.wish import Wish
from olympus.runtime.errors import ModelError, did_you_mean

PROMPTS = (
    "Once upon a time",
    "The robot looked around and",
    "go to the place, then wait and turn around",
    "Question: what is two plus two? Answer:",
    "1 2 3 4",
)
"""What a language model is judged by where nobody names prompts."""
GGUF_TYPES = {
    "q8_0": "MOSTLY_Q8_0",
    "q6_k": "MOSTLY_Q6_K",
    "q5_k_m": "MOSTLY_Q5_K_M",
    "q4_k_m": "MOSTLY_Q4_K_M",
    "q4_0": "MOSTLY_Q4_0",
}


@dataclass(frozen=True, slots=True)
class Shrunk:
    """A model before and after."""

    path: Path
    """The new file; its manifest lies beside it."""
    bytes_before: int
    bytes_after: int
    before: Timing
    after: Timing
    accuracy: tuple[Accuracy, ...]
    """`value` of the new model, `float_value` of the old one."""


def shrink_onnx(
    source: Path,
    examples: Path,
    out: Path,
    *,
    keep_float: Sequence[str] = (),
    runs: int = 500,
    tell: Callable[[str], None] = lambda news: None,
) -> Shrunk:
    """Quantize a float ONNX file: static INT8, QDQ, one scale per channel.

    Args:
        source: The float file; a `manifest.yaml` beside it that names it is used.
        examples: Folder of examples; see `read_examples`. Three of four calibrate, one judges.
        out: Folder for the new model and its manifest.
        keep_float: Outputs whose last layer stays in float.
        runs: Runs to time.
        tell: Called with what is done next, which may take minutes.

    Raises:
        ModelError: A file is wrong or quantized already, `out` holds another model or can't be
            made, or `onnx` is not installed.
    """
    try:
        from olympus.models.training.quantize import SCHEME, quantize
    except ImportError as error:
        raise ModelError(f"quantizing needs `pip install onnx` ({error})") from error
    manifest = manifest_of(source)
    if manifest.quantization is not None:
        raise ModelError(f"{source}: is quantized already; name the float file it was made from")
    outputs = [tensor.name for tensor in manifest.outputs]
    for name in keep_float:
        if name not in outputs:
            raise ModelError(f"{source}: has no output {name!r}; {did_you_mean(name, outputs)}")
    path = out / f"{source.stem.removesuffix('_float')}-int8.onnx"
    _refuse_occupied(path)
    tell(f"reading the examples in {examples}")
    calibration, judged = split(read_examples(examples, manifest))
    tell(f"calibrating with {len(calibration)} examples")
    _make(out)
    source_sha256 = quantize(source, path, (e.feed for e in calibration), keep_float=keep_float)
    draft = _renewed(manifest, path)
    stored, old = StoredModel(draft, out), StoredModel(manifest, source.parent)
    tell(f"judging by {len(judged)} examples, then timing {runs} runs of each")
    accuracy = _judge(OnnxModel.load(old), OnnxModel.load(stored), judged)
    scheme = WeightQuantization(
        scheme=SCHEME, calibration_n=len(calibration), source_sha256=source_sha256
    )
    return _written(stored, old, accuracy, scheme, runs)


def shrink_gguf(
    source: Path, kind: str, texts: Sequence[str], out: Path, *, runs: int = 20
) -> Shrunk:
    """Quantize a GGUF file with llama.cpp.

    Args:
        source: A float32 or float16 file; a `manifest.yaml` beside it that names it is used.
        kind: One of GGUF_TYPES.
        texts: Prompts to judge by: the share of greedy tokens that stay the same; those of the
            manifest's self-test, or else a few built-in ones, when empty.
        out: Folder for the new model and its manifest.
        runs: Texts to time.

    Raises:
        ModelError: The kind is unknown, a file is wrong, `out` holds another model or can't be
            made, or llama.cpp is not here.
    """
    if kind not in GGUF_TYPES:
        raise ModelError(f"GGUF type {kind!r}: {did_you_mean(kind, GGUF_TYPES)}")
    native = llama_native.library()
    manifest = manifest_of(source)
    _refuse_quantized(source)
    path = out / f"{source.stem.removesuffix('-f32').removesuffix('-f16')}-{kind}.gguf"
    _refuse_occupied(path)
    _make(out)
    settings = native.llama_model_quantize_default_params()
    settings.ftype, settings.nthread = getattr(native, f"LLAMA_FTYPE_{GGUF_TYPES[kind]}"), 1
    with llama_native.quiet_stderr():
        code = native.llama_model_quantize(
            str(source).encode(), str(path).encode(), ctypes.byref(settings)
        )
    if code != 0:
        raise ModelError(f"{source}: llama.cpp could not quantize it to {kind} ({code})")
    stored, old = StoredModel(_renewed(manifest, path), out), StoredModel(manifest, source.parent)
    accuracy = _judge_texts(old, stored, texts or _own_prompts(manifest))
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    return _written(
        stored, old, accuracy, WeightQuantization(scheme=kind, source_sha256=sha256), runs
    )


def _refuse_quantized(source: Path) -> None:
    file = look_into(source, source.read_bytes())
    small = [one.name for one in file.tensors if not one.is_float]
    if small:
        raise ModelError(
            f"{source}: is quantized already (tensor {small[0]}); name the float file it was made "
            "from"
        )


def _refuse_occupied(path: Path) -> None:
    """Keep a manifest that stands where that of the new file would, if it is of another file.

    Raises:
        ModelError: There is one.
    """
    beside = path.parent / MANIFEST_NAME
    if beside.exists() and (other := read_manifest(beside).model_file.path) != path.name:
        raise ModelError(f"{beside}: describes {other}; give another folder with --out")


def _make(folder: Path) -> None:
    """Make the folder of the new model.

    Raises:
        ModelError: The system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f"{folder}: can't be made ({error.strerror}); give another folder with --out"
        ) from error


def _own_prompts(manifest: Manifest) -> Sequence[str]:
    return [test.prompt for test in manifest.self_test if test.prompt] or PROMPTS


def manifest_of(source: Path) -> Manifest:
    """Read the manifest beside a file if it names that file; else draft one.

    Raises:
        ModelError: The file can't be read, or is no model.
    """
    beside = source.parent / MANIFEST_NAME
    if beside.exists():
        manifest = read_manifest(beside)
        if manifest.model_file.path == source.name:
            return manifest
    if source.suffix == ".gguf":
        return _draft_gguf(source)
    return describe(source)


def _draft_gguf(source: Path) -> Manifest:
    try:
        data = source.read_bytes()
    except OSError as error:
        raise ModelError(f"{source}: can't be read ({error.strerror})") from error
    name = source.stem.lower().replace(" ", "-")
    return make_manifest(
        {
            "name": name,
            "version": "0.1.0",
            "task": "complete",
            "format": "gguf",
            "licence": "unknown",
            "files": [_file(source.name, data)],
        },
        f"draft for {source}",
    )


def _file(name: str, data: bytes) -> dict[str, object]:
    return {"path": name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


def _renewed(manifest: Manifest, path: Path) -> Manifest:
    """Describe the new file, without what was only measured on the old one.

    It is called like its folder, by which a registry finds it, where a model can be called so.
    """
    data = manifest.model_dump(mode="json", exclude_unset=True)
    called = path.parent.resolve().name
    if is_name(called):
        data["name"] = called
    for gone in ("accuracy", "latency", "memory_mb", "quantization", "self_test"):
        data.pop(gone, None)
    return make_manifest(data | {"files": [_file(path.name, path.read_bytes())]}, str(path))


def _judge(old: OnnxModel, new: OnnxModel, examples: Sequence[Example]) -> tuple[Accuracy, ...]:
    pairs = [(old.run(e.feed), new.run(e.feed), e.label) for e in examples]
    data, found = "every fourth example of the calibration folder", []
    for tensor in old.manifest.outputs:
        before = np.stack([a[tensor.name].ravel() for a, _, _ in pairs]).astype(np.float64)
        after = np.stack([b[tensor.name].ravel() for _, b, _ in pairs]).astype(np.float64)
        error = np.sqrt(np.mean((after - before) ** 2))
        spread = float(np.sqrt(np.mean(before**2))) or 1.0
        share = round(float(error / spread), 5)
        metrics = {f"relative-error.{tensor.name}": (share, 0.0)}
        if before.shape[1] > 1:
            same = float(np.mean(before.argmax(1) == after.argmax(1)))
            metrics[f"same-greatest.{tensor.name}"] = (round(same, 5), 1.0)
        metrics |= _accuracy(old.manifest, before, after, [label for _, _, label in pairs])
        found += [
            Accuracy(metric=metric, value=value, float_value=was, data=data, n=len(pairs))
            for metric, (value, was) in metrics.items()
        ]
    return tuple(found)


def _accuracy(
    manifest: Manifest, before: np.ndarray, after: np.ndarray, labels: Sequence[str]
) -> dict[str, tuple[float, float]]:
    """Count right answers where all examples have a label."""
    if not all(labels) or before.shape[1] != len(manifest.labels):
        return {}
    wanted = np.array([manifest.labels.index(label) for label in labels])
    return {
        "accuracy": (
            round(float(np.mean(after.argmax(1) == wanted)), 5),
            round(float(np.mean(before.argmax(1) == wanted)), 5),
        )
    }


def _judge_texts(old: StoredModel, new: StoredModel, texts: Sequence[str]) -> tuple[Accuracy, ...]:
    same = total = 0
    first, second = LlamaModel.load(old), LlamaModel.load(new)
    for text in texts:
        wish = Wish(max_tokens=32, special=True)
        a, b = first.complete(text, wish).tokens, second.complete(text, wish).tokens
        same += sum(x == y for x, y in zip(a, b, strict=False))
        total += max(len(a), len(b))
    first.close()
    second.close()
    share = round(same / max(1, total), 5)
    data = f"greedy tokens, up to 32 for each of {len(texts)} prompts"
    return (
        Accuracy(metric="same-tokens", value=share, float_value=1.0, data=data, n=max(1, total)),
    )


def _written(
    stored: StoredModel,
    old: StoredModel,
    accuracy: tuple[Accuracy, ...],
    scheme: WeightQuantization,
    runs: int,
) -> Shrunk:
    before, after = measure(old, runs), measure(stored, runs)
    known = {"quantization": scheme, "accuracy": accuracy, "memory_mb": after.memory_mb}
    latency = (after.latency(board_name()),)
    manifest = stored.manifest.model_copy(update=known | {"latency": latency})
    write_manifest(manifest, stored.folder / MANIFEST_NAME)
    return Shrunk(
        stored.folder / manifest.model_file.path,
        old.manifest.model_file.bytes,
        manifest.model_file.bytes,
        before,
        after,
        accuracy,
    )
