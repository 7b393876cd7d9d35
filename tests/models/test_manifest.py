from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from olympus.models.manifest import (
    Accuracy,
    Latency,
    Manifest,
    ModelFile,
    Normalisation,
    Tensor,
    TensorQuantization,
    json_schema,
    parse_manifest,
    read_manifest,
    write_manifest,
)
from olympus.runtime.errors import ModelError

SHA = "0" * 64
GOOD: dict[str, Any] = {
    "name": "cats",
    "version": "1.0.0",
    "task": "classify",
    "licence": "MIT",
    "files": [{"path": "cats.onnx", "sha256": SHA, "bytes": 10}],
    "inputs": [{"name": "image", "dtype": "uint8", "shape": ["batch", 96, 96, 3]}],
    "outputs": [{"name": "p", "dtype": "float32", "shape": ["batch", 2]}],
    "labels": ["none", "cat"],
}

words = st.text(st.characters(categories=["L", "N", "P", "Zs"]), min_size=1, max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,30}", fullmatch=True)
dims = st.one_of(st.integers(1, 4096), st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True))
tensors = st.builds(
    Tensor,
    name=words,
    dtype=st.sampled_from(["uint8", "int8"]),
    shape=st.lists(dims, max_size=5).map(tuple),
    units=words,
    normalisation=st.none() | st.builds(Normalisation, scale=numbers, offset=numbers),
    quantization=st.none()
    | st.builds(
        TensorQuantization,
        scale=st.floats(1e-6, 10),
        zero_point=st.integers(-128, 127),
    ),
)
manifests = st.builds(
    Manifest,
    name=names,
    version=st.just("1.2.3"),
    task=st.sampled_from(["detect", "classify", "classify-sound", "other"]),
    licence=words,
    files=st.builds(
        ModelFile,
        path=words,
        sha256=st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
        bytes=st.integers(1, 2**40),
    ).map(lambda file: (file,)),
    inputs=st.lists(tensors, min_size=1, max_size=3, unique_by=lambda t: t.name).map(tuple),
    outputs=st.lists(tensors, min_size=1, max_size=3, unique_by=lambda t: t.name).map(tuple),
    labels=st.lists(words, max_size=5, unique=True).map(tuple),
    accuracy=st.lists(
        st.builds(Accuracy, metric=words, value=numbers, data=words, n=st.integers(1, 10**6)),
        max_size=3,
    ).map(tuple),
    options=st.dictionaries(words, st.one_of(st.booleans(), st.integers(), numbers), max_size=3),
    limits=words,
)


def refusal(**changes: object) -> str:
    with pytest.raises(ModelError) as caught:
        parse_manifest(yaml.safe_dump(GOOD | changes), "cats/manifest.yaml")
    return str(caught.value)


@given(manifests)
def test_a_manifest_survives_being_written_and_read(
    tmp_path_factory: pytest.TempPathFactory, manifest: Manifest
) -> None:
    path = tmp_path_factory.getbasetemp() / "manifest.yaml"
    write_manifest(manifest, path)
    assert read_manifest(path) == manifest


@given(st.text() | st.binary().map(lambda b: b.decode("latin-1")))
def test_any_text_gives_a_manifest_or_a_model_error(text: str) -> None:
    with pytest.raises(ModelError, match="somewhere"):
        parse_manifest(text, "somewhere")


@given(st.sampled_from(sorted(GOOD)), st.none() | st.booleans() | st.integers() | st.text())
def test_a_field_of_nonsense_is_named(field: str, nonsense: object) -> None:
    text = yaml.safe_dump(GOOD | {field: nonsense})
    try:
        manifest = parse_manifest(text, "here")
    except ModelError as error:
        assert field in str(error)
    else:
        assert isinstance(getattr(manifest, field), str)


def test_a_missing_field_is_named() -> None:
    text = yaml.safe_dump({k: v for k, v in GOOD.items() if k != "licence"})
    with pytest.raises(ModelError, match=r"model cats.*\n\s+licence: is missing; add it"):
        parse_manifest(text, "here")


def test_a_misspelt_field_is_told_what_was_meant() -> None:
    assert "lables: is unknown; did you mean 'labels'?" in refusal(lables=["a"])


def test_a_misspelt_field_deep_inside_is_told_what_was_meant() -> None:
    message = refusal(inputs=[GOOD["inputs"][0] | {"unit": "px"}])
    assert "inputs[0].unit: is unknown; did you mean 'units'?" in message


def test_a_hash_of_the_wrong_length_is_refused() -> None:
    message = refusal(files=[{"path": "x", "sha256": "abc", "bytes": 1}])
    assert "files[0].sha256" in message
    assert "'abc'" in message


def test_two_outputs_of_one_name_are_refused() -> None:
    assert "outputs name p twice" in refusal(outputs=GOOD["outputs"] * 2)


def test_a_size_of_zero_is_refused() -> None:
    message = refusal(inputs=[GOOD["inputs"][0] | {"shape": [0, 2]}])
    assert "inputs[0].shape[0]" in message


def test_quantization_of_a_float_is_refused() -> None:
    rule = {"quantization": {"scale": 0.1}}
    assert "whole-number dtype" in refusal(outputs=[GOOD["outputs"][0] | rule])


def test_a_latency_that_falls_is_refused() -> None:
    slow = {"board": "pi5", "p50_ms": 3.0, "p99_ms": 2.0, "worst_ms": 4.0, "n": 10}
    assert "rising order" in refusal(latency=[slow])


def test_a_range_upside_down_is_refused() -> None:
    assert "is empty" in refusal(inputs=[GOOD["inputs"][0] | {"range": [255, 0]}])


def test_a_manifest_without_a_model_file_is_refused() -> None:
    files = [GOOD["files"][0] | {"role": "other"}]
    assert "exactly one entry with role: model" in refusal(files=files)


def test_text_that_is_no_yaml_is_refused() -> None:
    with pytest.raises(ModelError, match="no valid YAML"):
        parse_manifest("{", "here")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"manifest\.yaml: can't be read"):
        read_manifest(tmp_path / "manifest.yaml")


def test_a_manifest_is_asked_by_board_metric_and_option() -> None:
    profile = Latency(board="pi5", p50_ms=1, p99_ms=2, worst_ms=3, n=100)
    figure = {"metric": "f1", "value": 0.9, "data": "held out", "n": 10}
    changes = {
        "latency": [profile.model_dump()],
        "accuracy": [figure],
        "options": {"cell_px": 8, "mode": "fast"},
    }
    manifest = parse_manifest(yaml.safe_dump(GOOD | changes), "here")
    assert manifest.latency_on("pi5") == profile
    assert manifest.latency_on("toaster") is None
    assert manifest.accuracy_of("f1").value == pytest.approx(0.9)
    assert manifest.option("cell_px", 16) == pytest.approx(8)
    assert manifest.option("other", 16) == pytest.approx(16)
    with pytest.raises(ModelError, match=r"no 'recall'; known: f1"):
        manifest.accuracy_of("recall")
    with pytest.raises(ModelError, match=r"options\.mode is 'fast'; write a number"):
        manifest.option("mode", 1)


def test_the_schema_describes_every_field() -> None:
    properties = json_schema()["properties"]
    assert isinstance(properties, dict)
    assert set(properties) == set(Manifest.model_fields)


def test_no_number_of_a_manifest_may_be_infinite() -> None:
    figure = {"metric": "f1", "value": math.inf, "data": "held out", "n": 10}
    assert "accuracy[0].value" in refusal(accuracy=[figure])
