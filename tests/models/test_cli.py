from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper
from tests.models.float_gguf import as_float
from typer.testing import CliRunner, Result

from olympus.models import llama_native
from olympus.models.cli import app
from olympus.models.manifest import read_manifest
from olympus.models.registry import Registry
from olympus.models.shrink import GGUF_TYPES
from olympus.runtime.errors import ModelError

needs_llama = pytest.mark.skipif(bool(llama_native.missing()), reason=llama_native.missing())


def run(*arguments: str | Path | int) -> Result:
    return CliRunner().invoke(app, [str(one) for one in arguments])


def float_model(folder: Path) -> Path:
    """Write a small network: 16 values in, 3 classes out."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(1)
    weights = [
        numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
        for name, shape in (("w", (16, 32)), ("v", (32, 3)))
    ]
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 16])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])
    graph = helper.make_graph(nodes, "net", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def examples(folder: Path, n: int = 40) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(2)
    for i in range(n):
        np.save(folder / f"{i:03d}.npy", rng.normal(size=16).astype(np.float32))
    return folder


def test_the_shipped_models_are_listed() -> None:
    rows = json.loads(run("list", "--json").stdout)
    assert {row["name"] for row in rows} == set(Registry().names())
    text = run("list").stdout
    assert all(row["name"] in text for row in rows)


def test_the_shipped_models_are_as_their_manifests_say() -> None:
    result = run("verify")
    assert result.exit_code == 0, result.stdout
    assert "person-obstacle     as its manifest says" in result.stdout


def test_a_changed_model_is_told_and_ends_with_its_code(tmp_path: Path) -> None:
    source = Registry().find("sound-events")
    folder = tmp_path / "sound-events"
    folder.mkdir()
    data = bytearray(source.read())
    data[500] ^= 1
    (folder / source.manifest.model_file.path).write_bytes(data)
    (folder / "manifest.yaml").write_text((source.folder / "manifest.yaml").read_text())
    result = run("verify", folder)
    assert result.exit_code == ModelError.exit_code
    assert "sha256" in result.stdout


def test_one_broken_model_hides_none_of_the_others(tmp_path: Path) -> None:
    source = Registry().find("sound-events")
    shutil.copytree(source.folder, tmp_path / "sound-events")
    shutil.copytree(source.folder, tmp_path / "ears")  # called otherwise in its manifest
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "manifest.yaml").write_text("name: [")
    listed = run("list", "--json", "--folder", tmp_path)
    assert listed.exit_code == 0, listed.output
    folders = {row["name"]: Path(row["folder"]).parent for row in json.loads(listed.stdout)}
    assert folders["sound-events"] == tmp_path and set(folders) == set(Registry().names())
    assert "left out: model ears: is called 'sound-events'" in listed.stderr
    assert "broken/manifest.yaml: is no valid YAML" in listed.stderr
    verified = run("verify", "--json", "--folder", tmp_path)
    assert verified.exit_code == ModelError.exit_code
    problems = {name: bool(problem) for name, problem in json.loads(verified.stdout).items()}
    assert problems == dict.fromkeys(Registry().names(), False) | {"ears": True, "broken": True}


def test_a_model_that_is_named_but_nowhere_hides_none_of_the_others() -> None:
    result = run("verify", "sound-events", "sund-events")
    assert result.exit_code == ModelError.exit_code
    assert "sound-events        as its manifest says" in result.stdout
    assert "did you mean 'sound-events'" in result.stdout


@pytest.mark.parametrize("command", ["list", "verify", "bench"])
def test_a_folder_that_is_not_there_is_told(command: str, tmp_path: Path) -> None:
    result = run(command, "--folder", tmp_path / "none")
    assert isinstance(result.exception, ModelError)
    assert "there is no such folder" in str(result.exception)


def test_a_bench_writes_a_profile_and_keeps_what_else_is_in_it(tmp_path: Path) -> None:
    out = tmp_path / "profile.yaml"
    assert run("bench", "sound-events", "--n", 20, "--out", out).exit_code == 0
    result = run("bench", "person-obstacle", "--n", 20, "--out", out, "--json")
    assert result.exit_code == 0
    profile = yaml.safe_load(out.read_text())
    assert set(profile["models"]) == {"sound-events", "person-obstacle"}
    entry = profile["models"]["sound-events"]
    assert 0 < entry["p50_ms"] <= entry["p99_ms"] <= entry["worst_ms"]
    assert entry["n"] == 20
    assert json.loads(result.stdout)["person-obstacle"]["n"] == 20


def test_a_profile_of_another_board_is_not_mixed_up(tmp_path: Path) -> None:
    out = tmp_path / "profile.yaml"
    out.write_text("board: pi5\nmodels: {}\n")
    result = run("bench", "sound-events", "--n", 20, "--out", out, "--board", "pi4")
    assert isinstance(result.exception, ModelError)
    assert "no profile of board pi4" in str(result.exception)


def test_a_profile_that_can_be_nowhere_is_refused_before_anything_is_timed(tmp_path: Path) -> None:
    for out in (tmp_path / "none" / "p.yaml", broken := tmp_path / "broken.yaml"):
        broken.write_text("{")
        result = run("bench", "sound-events", "--n", 20, "--out", out)
        assert isinstance(result.exception, ModelError), result.output
        assert str(out) in str(result.exception) and "sound-events" not in result.output


@needs_llama
def test_a_language_models_profile_has_its_worst_step(tmp_path: Path) -> None:
    out = tmp_path / "profile.yaml"
    assert run("bench", "planner", "--n", 10, "--out", out).exit_code == 0
    entry = yaml.safe_load(out.read_text())["models"]["planner"]
    assert 0 < entry["step"]["worst_ms"] <= entry["worst_ms"]
    assert entry["step"]["n"] > entry["n"]
    assert entry["tokens_per_s"] > 0


def test_quantizing_makes_it_smaller_and_says_what_is_lost(tmp_path: Path) -> None:
    source = float_model(tmp_path / "float")
    out = tmp_path / "small"
    result = run(
        *("quantize", source, "--calibration", examples(tmp_path / "examples")),
        *("--out", out, "--n", 20, "--json"),
    )
    assert result.exit_code == 0, result.exception
    told = json.loads(result.stdout)
    assert told["bytes"][1] != told["bytes"][0]
    manifest = read_manifest(out / "manifest.yaml")
    assert manifest.quantization is not None
    assert manifest.quantization.calibration_n == 30
    assert manifest.accuracy_of("same-greatest.y").value >= 0.8
    assert 0 < manifest.accuracy_of("relative-error.y").value < 0.1
    assert manifest.latency
    assert run("verify", out).exit_code == 0


def test_folders_named_by_labels_give_an_accuracy(tmp_path: Path) -> None:
    source = float_model(tmp_path / "float")
    plain = examples(tmp_path / "plain")
    described = run("quantize", source, "--calibration", plain, "--out", tmp_path / "a", "--n", 10)
    assert described.exit_code == 0
    manifest = yaml.safe_load((tmp_path / "a" / "manifest.yaml").read_text())
    manifest |= {"labels": ["red", "green", "blue"], "accuracy": [], "quantization": None}
    data = source.read_bytes()
    manifest["files"] = [
        {"path": "net.onnx", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    ]
    (source.parent / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    labelled = tmp_path / "labelled"
    for i, path in enumerate(sorted(plain.iterdir())):
        folder = labelled / ("red", "green", "blue")[i % 3]
        folder.mkdir(parents=True, exist_ok=True)
        path.rename(folder / path.name)
    result = run(
        *("quantize", source, "--calibration", labelled, "--out", tmp_path / "b", "--n", 10)
    )
    assert result.exit_code == 0, result.exception
    entry = read_manifest(tmp_path / "b" / "manifest.yaml").accuracy_of("accuracy")
    assert entry.float_value is not None
    assert abs(entry.value - entry.float_value) <= 0.2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["net.onnx"], "--calibration FOLDER"),
        (["net.onnx", "--calibration", "nothing"], "holds no examples"),
        (["none.gguf", "--type", "q8"], "did you mean 'q8_0'"),
        (["net.onnx", "--calibration", "nothing", "--keep-float", "yy"], "did you mean 'y'"),
    ],
)
def test_a_wrong_wish_is_refused_with_the_way_out(
    tmp_path: Path, arguments: list[str], text: str
) -> None:
    float_model(tmp_path)
    (tmp_path / "nothing").mkdir()
    plain = ("q8", "yy")
    here = [str(tmp_path / one) if one[0] != "-" and one not in plain else one for one in arguments]
    result = run("quantize", *here)
    assert text in str(result.exception)


def test_a_wrong_example_is_named(tmp_path: Path) -> None:
    source = float_model(tmp_path / "float")
    folder = examples(tmp_path / "examples", 4)
    np.save(folder / "999.npy", np.zeros(7, np.float32))
    result = run("quantize", source, "--calibration", folder)
    assert "999.npy" in str(result.exception)
    assert "wants [1, 16]" in str(result.exception)


def test_the_small_model_is_found_by_its_folder_and_leaves_every_other_manifest_alone(
    tmp_path: Path,
) -> None:
    source = float_model(tmp_path)
    folder = examples(tmp_path / "examples", 8)
    (folder / "000.npy").rename(folder / "000.NPY")
    ask = ("quantize", source, "--calibration", folder, "--n", 10)
    assert run(*ask).exit_code == 0
    assert Registry([tmp_path]).find("net-int8").name == "net-int8"
    assert run(*ask).exit_code == 0  # the same file once more
    before = (tmp_path / "net-int8" / "manifest.yaml").read_text().replace("net-int8", "other")
    other = tmp_path / "other"
    other.mkdir()
    (other / "manifest.yaml").write_text(before)
    result = run(*ask, "--out", other)
    assert "describes other.onnx; give another folder with --out" in str(result.exception)
    assert (other / "manifest.yaml").read_text() == before


def test_examples_that_are_no_numbers_or_nowhere_are_named(tmp_path: Path) -> None:
    source, folder = float_model(tmp_path / "float"), examples(tmp_path / "examples")
    result = run("quantize", source, "--calibration", tmp_path / "exmples")
    assert "exmples: is no folder" in str(result.exception)
    np.save(folder / "007.npy", np.full(16, np.nan, np.float32))
    result = run("quantize", source, "--calibration", folder, "--out", tmp_path / "small")
    assert isinstance(result.exception, ModelError)
    assert "007.npy: x holds NaN or infinity" in str(result.exception)
    assert not (tmp_path / "small").exists()


def test_an_out_folder_that_can_t_be_made_is_told(tmp_path: Path) -> None:
    source = float_model(tmp_path)
    (tmp_path / "file").touch()
    result = run(
        *("quantize", source, "--calibration", examples(tmp_path / "examples", 8)),
        *("--out", tmp_path / "file" / "deep"),
    )
    assert isinstance(result.exception, ModelError)
    assert "can't be made (Not a directory)" in str(result.exception)


@pytest.mark.parametrize("name", ["999.npy", "999.npz"])
def test_an_example_that_is_no_array_is_named(tmp_path: Path, name: str) -> None:
    source = float_model(tmp_path / "float")
    folder = examples(tmp_path / "examples", 4)
    (folder / name).write_bytes(b"no array")
    result = run("quantize", source, "--calibration", folder)
    assert f"{name}: holds no arrays that can be read" in str(result.exception)


def test_what_is_quantized_already_is_refused_before_any_example_is_read(tmp_path: Path) -> None:
    source = float_model(tmp_path / "float")
    folder = examples(tmp_path / "examples", 4)
    first = run("quantize", source, "--calibration", folder, "--out", tmp_path / "a", "--n", 10)
    assert first.exit_code == 0
    assert first.stderr.splitlines() == [
        f"reading the examples in {folder}",
        "calibrating with 3 examples",
        "judging by 1 examples, then timing 10 runs of each",
    ]
    (small,) = (tmp_path / "a").glob("*.onnx")
    again = run("quantize", small, "--calibration", folder)
    assert f"{small}: is quantized already" in str(again.exception)


def test_prompts_that_can_t_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for name, why in (("nowhere", "No such file"), ("binary", "it is no text")):
        result = run("quantize", tmp_path / "x.gguf", "--calibration", tmp_path / name)
        assert isinstance(result.exception, ModelError)
        assert f"{name}: the prompts can't be read ({why}" in str(result.exception)


@needs_llama
@pytest.mark.parametrize("kind", GGUF_TYPES)
def test_a_gguf_file_is_made_smaller_and_what_is_lost_is_said(tmp_path: Path, kind: str) -> None:
    source = tmp_path / "planner-f32.gguf"
    source.write_bytes(as_float(Registry().find("planner").read()))
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("<|begin|> go to the P1<|answer|>\n")
    wish = ("--calibration", prompts, "--n", 10, "--type", kind, "--json")
    result = run("quantize", source, *wish)
    assert result.exit_code == 0, result.exception
    told = json.loads(result.stdout)
    before, after = told["bytes"]
    assert after < before / 3
    (same,) = told["accuracy"]
    assert same["metric"] == "same-tokens" and same["n"] > 5
    assert 0 <= same["value"] <= same["float_value"] == 1
    manifest = read_manifest(tmp_path / f"planner-f32-{kind}" / "manifest.yaml")
    assert manifest.quantization is not None and manifest.quantization.scheme == kind
    assert manifest.quantization.source_sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert run("verify", tmp_path / f"planner-f32-{kind}").exit_code == 0
    if kind == "q8_0":  # the float file was made of Q8_0 numbers
        assert same["value"] == 1


@needs_llama
def test_without_prompts_a_gguf_file_is_judged_by_built_in_ones(tmp_path: Path) -> None:
    source = tmp_path / "planner-f32.gguf"
    source.write_bytes(as_float(Registry().find("planner").read()))
    result = run("quantize", source, "--n", 10)
    assert result.exit_code == 0, result.exception
    assert "same-tokens" in result.stdout


@needs_llama
@pytest.mark.parametrize(
    ("size", "why"), [(None, "is quantized already (tensor token_embd.weight)"), (9000, "cut off")]
)
def test_a_gguf_file_that_is_no_float_file_is_refused_and_leaves_nothing(
    tmp_path: Path, size: int | None, why: str
) -> None:
    source = tmp_path / "planner.gguf"
    source.write_bytes(Registry().find("planner").read()[:size])
    result = run("quantize", source, "--type", "q4_0")
    assert isinstance(result.exception, ModelError)
    assert f"{source}: is " in str(result.exception) and why in str(result.exception)
    assert [*tmp_path.iterdir()] == [source]
