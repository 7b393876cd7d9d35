"""What a model's `manifest.yaml` says: files, tensors, labels, accuracy, latency, limits."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from olympus.models import complaints
from olympus.runtime import yaml_text
from olympus.runtime.errors import ModelError

MANIFEST_NAME = "manifest.yaml"
_NAME, _LONGEST_NAME = r"^[a-z0-9][a-z0-9._-]*$", 64

Task = Literal[
    "detect",
    "classify",
    "classify-sound",
    "keyword",
    "anomaly",
    "embed",
    "segment",
    "plan",
    "complete",
    "chat",
    "other",
]
Dtype = Literal["uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "bool"]
Dim = Annotated[int, Field(ge=1)] | Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
"""A fixed size, or a name such as `batch` for a size that may vary."""
Milliseconds = Annotated[float, Field(gt=0, le=1e9)]
"""A measured time; eleven days at most."""
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Part(BaseModel):
    """A frozen part of a manifest; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ModelFile(Part):
    """A file that belongs to a model."""

    path: Annotated[str, Field(min_length=1)]
    """Relative to the folder of the manifest."""
    sha256: Sha256
    bytes: Annotated[int, Field(ge=1)]
    role: Literal["model", "tokenizer", "grammar", "other"] = "model"


class TensorQuantization(Part):
    """How a real value x is stored: q = round(x / scale) + zero_point."""

    scale: Annotated[float, Field(gt=0)]
    zero_point: int = 0


class Normalisation(Part):
    """What is done to raw values before the model sees them: x = raw * scale + offset."""

    scale: float = 1.0
    offset: float = 0.0


class Tensor(Part):
    """One input or output."""

    name: Annotated[str, Field(min_length=1)]
    dtype: Dtype
    shape: tuple[Dim, ...]
    layout: str = ""
    """Meaning of the axes, such as `NHWC`."""
    units: str = ""
    """What a value means, such as `intensity`, `log mel energy`, `logit`."""
    colour: Literal["", "rgb", "bgr", "grey"] = ""
    range: tuple[float, float] | None = None
    """Least and greatest raw value, before `normalisation`."""
    normalisation: Normalisation | None = None
    quantization: TensorQuantization | None = None
    """Set where the file itself takes or gives whole numbers that stand for real ones."""
    finite: bool = True
    """Outputs: refuse NaN and infinity."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(f"range {list(self.range)} is empty; write [least, greatest]")
        if self.quantization is not None and not self.dtype.startswith(("int", "uint")):
            raise ValueError(f"quantization needs a whole-number dtype, not {self.dtype}")
        return self


class WeightQuantization(Part):
    """How the weights were made small."""

    scheme: Annotated[str, Field(min_length=1)]
    """Such as `int8 qdq, per channel, activations u8`."""
    calibration_n: Annotated[int, Field(ge=0)] = 0
    """How many examples set the ranges."""
    source_sha256: Sha256 | None = None
    """Of the float file it was made from."""


class Accuracy(Part):
    """One measured figure."""

    metric: Annotated[str, Field(min_length=1)]
    value: float
    float_value: float | None = None
    """Of the float model it was quantized from, on the same data."""
    data: Annotated[str, Field(min_length=1)]
    """What it was measured on."""
    n: Annotated[int, Field(ge=1)]
    """How many examples."""


class Times(Part):
    """How long something took, one thread."""

    p50_ms: Milliseconds
    p99_ms: Milliseconds
    worst_ms: Milliseconds
    n: Annotated[int, Field(ge=1)]
    """How many were timed."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.p50_ms <= self.p99_ms <= self.worst_ms:
            raise ValueError(
                f"p50_ms={self.p50_ms}, p99_ms={self.p99_ms}, worst_ms={self.worst_ms} "
                "are not in rising order"
            )
        return self


class Latency(Times):
    """Time of one run on one board, one thread; of a language model: of one whole text."""

    board: Annotated[str, Field(min_length=1)]
    step: Times | None = None
    """Language models: a single step, which is how long an urgent job may have to wait."""

    @property
    def piece(self) -> Times:
        """What can't be interrupted: a step, or else the whole run."""
        return self.step or self


class SelfTest(Part):
    """An example with a known answer; a model that gives another one is not taken into use."""

    prompt: str = ""
    """Language models: what is asked, special tokens included."""
    answer: str = ""
    """What the likeliest text begins with."""
    fill: float = 0.0
    """Tensor models: the value that all inputs are filled with."""
    output: str = ""
    """The output looked at; empty: this is a test of a language model."""
    values: tuple[float, ...] = ()
    """Its first values."""
    tolerance: Annotated[float, Field(ge=0)] = 1e-3

    @model_validator(mode="after")
    def _can_fail(self) -> Self:
        if not (self.answer or (self.output and self.values)):
            raise ValueError("tests nothing; write an answer, or an output and its values")
        return self


class Recipe(Part):
    """How to make the model again."""

    script: Annotated[str, Field(min_length=1)]
    seed: int = 0
    versions: dict[str, str] = Field(default_factory=dict)
    cpu_s: Annotated[float, Field(gt=0)] | None = None


class Manifest(Part):
    """Everything that is known about one model."""

    name: Annotated[str, Field(pattern=_NAME, max_length=_LONGEST_NAME)]
    version: Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+([-+][A-Za-z0-9.+-]+)?$")]
    task: Task
    format: Literal["onnx", "gguf"] = "onnx"
    licence: Annotated[str, Field(min_length=1)]
    """SPDX name, such as `Apache-2.0`."""
    description: str = ""
    source: str = ""
    """Where a model that is not ours comes from."""
    files: Annotated[tuple[ModelFile, ...], Field(min_length=1)]
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    """Tensors; a language model (`format: gguf`) has none, it takes and gives text."""
    labels: tuple[str, ...] = ()
    """Meaning of the classes, in order."""
    options: dict[str, bool | int | float | str] = Field(default_factory=dict)
    """What its user needs besides, such as `cell_px` of a grid."""
    quantization: WeightQuantization | None = None
    accuracy: tuple[Accuracy, ...] = ()
    latency: tuple[Latency, ...] = ()
    memory_mb: Annotated[float, Field(gt=0)] | None = None
    """Growth of the process when it is loaded and run."""
    self_test: tuple[SelfTest, ...] = ()
    recipe: Recipe | None = None
    limits: str = ""
    """What it can't do, in plain words."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        for kind, names in (
            ("files", [f.path for f in self.files]),
            ("inputs", [t.name for t in self.inputs]),
            ("outputs", [t.name for t in self.outputs]),
            ("labels", list(self.labels)),
            ("latency", [entry.board for entry in self.latency]),
        ):
            twice = sorted({n for n in names if names.count(n) > 1})
            if twice:
                raise ValueError(f"{kind} name {', '.join(twice)} twice; keep one")
        if self.format == "onnx" and not (self.inputs and self.outputs):
            raise ValueError("an ONNX model needs at least one entry in inputs and in outputs")
        if sum(f.role == "model" for f in self.files) != 1:
            raise ValueError("files need exactly one entry with role: model")
        return self

    @property
    def model_file(self) -> ModelFile:
        """The file that is run."""
        return next(f for f in self.files if f.role == "model")

    @property
    def title(self) -> str:
        """Name and version, as messages quote them."""
        return f"{self.name} {self.version}"

    def accuracy_of(self, metric: str) -> Accuracy:
        """Find a measured figure.

        Raises:
            ModelError: The manifest doesn't hold it.
        """
        for entry in self.accuracy:
            if entry.metric == metric:
                return entry
        known = ", ".join(entry.metric for entry in self.accuracy) or "none"
        raise ModelError(f"model {self.name}: accuracy has no {metric!r}; known: {known}")

    def latency_on(self, board: str) -> Latency | None:
        """Find the latency profile for a board; None where it was not measured."""
        return next((entry for entry in self.latency if entry.board == board), None)

    def option(self, name: str, default: float) -> float:
        """Read a number from `options`.

        Raises:
            ModelError: It is there but is no finite number.
        """
        value = self.options.get(name, default)
        if isinstance(value, str | bool) or not math.isfinite(value):
            raise ModelError(f"model {self.name}: options.{name} is {value!r}; write a number")
        return float(value)


def is_name(text: str) -> bool:
    """Tell whether a model can be called so."""
    return len(text) <= _LONGEST_NAME and re.match(_NAME, text) is not None


def parse_manifest(text: str, where: str) -> Manifest:
    """Read a manifest from YAML text.

    Args:
        text: YAML.
        where: What errors call it, such as its path.

    Raises:
        ModelError: It is no YAML, or a field is missing, unknown or wrong; the message names
            the model, every such field, and the way out.
    """
    try:
        data = yaml_text.parsed(text)
    except yaml.YAMLError as error:
        raise ModelError(f"{where}: is no valid YAML: {error}") from error
    if not isinstance(data, dict):
        raise ModelError(f"{where}: holds no fields; a manifest starts with 'name: ...'")
    return make_manifest(data, where)


def make_manifest(data: dict[str, object], where: str) -> Manifest:
    """Check the fields of a manifest.

    Args:
        data: The fields.
        where: What errors call it, such as its path.

    Raises:
        ModelError: A field is missing, unknown or wrong.
    """
    try:
        return Manifest.model_validate(data)
    except ValidationError as error:
        raise ModelError(complaints.explain(error, data, Manifest, where)) from error


def read_manifest(path: Path) -> Manifest:
    """Read a manifest file.

    Raises:
        ModelError: It can't be read, or is wrong.
    """
    try:
        text = yaml_text.read(path)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ModelError(f"{path}: can't be read ({error}); is the path right?") from error
    return parse_manifest(text, str(path))


def write_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest as YAML, fields in their declared order, those never set left out."""
    data = manifest.model_dump(mode="json", exclude_unset=True)
    text = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
    path.write_text(text, encoding="utf-8")


class _Dumper(yaml.SafeDumper):
    """Writes lists of plain values, such as shapes and labels, on one line."""

    def represent_sequence(
        self, tag: str, sequence: Iterable[Any], flow_style: bool | None = None
    ) -> yaml.SequenceNode:
        items = list(sequence)
        is_plain = not any(isinstance(item, list | dict) for item in items)
        return super().represent_sequence(tag, items, flow_style=is_plain or flow_style)


def json_schema() -> dict[str, object]:
    """Give the JSON schema of a manifest, for editors."""
    return Manifest.model_json_schema()
