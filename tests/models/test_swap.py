from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from olympus.models.manifest import make_manifest
from olympus.models.onnx import OnnxModel
from olympus.models.registry import StoredModel
from olympus.models.swap import Swappable, load, self_test, self_test_of
from olympus.runtime.errors import ModelError


def version(
    folder: Path, number: str, factor: float, *, says: float, name: str = "scale"
) -> StoredModel:
    """Write a model that multiplies by `factor`, whose manifest says that 1 becomes `says`."""
    folder.mkdir()
    value = helper.make_tensor("k", TensorProto.FLOAT, [1], [factor])
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "k"], ["y"])],
        "scale",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2])],
        [value],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = model.SerializeToString()
    (folder / "m.onnx").write_bytes(data)
    tensor = {"dtype": "float32", "shape": [1, 2]}
    manifest: dict[str, object] = {
        "name": name,
        "version": number,
        "task": "other",
        "licence": "MIT",
        "files": [
            {"path": "m.onnx", "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        ],
        "inputs": [{"name": "x", **tensor}],
        "outputs": [{"name": "y", **tensor}],
        "self_test": [{"fill": 1.0, "output": "y", "values": [says, says]}],
    }
    return StoredModel(make_manifest(manifest, "test"), folder)


def test_a_new_version_is_taken_into_use_and_back_out(tmp_path: Path) -> None:
    running = Swappable(version(tmp_path / "a", "1.0.0", 2, says=2), OnnxModel.load, self_test)
    old = running.current
    running.swap(version(tmp_path / "b", "1.1.0", 3, says=3))
    one = np.ones((1, 2), np.float32)
    assert running.current.run({"x": one})["y"][0, 0] == 3
    assert old.run({"x": one})["y"][0, 0] == 2  # work that has begun ends with its own version
    assert running.roll_back() is old
    with pytest.raises(ModelError, match="no version before"):
        running.roll_back()


def test_a_version_that_fails_its_self_test_leaves_the_old_one_in_use(tmp_path: Path) -> None:
    running = Swappable(version(tmp_path / "a", "1.0.0", 2, says=2), load, self_test)
    with pytest.raises(ModelError, match=r"scale 1\.1\.0: self_test\[0\].*scale 1\.0\.0 stays"):
        running.swap(version(tmp_path / "b", "1.1.0", 3, says=4))
    assert running.current.manifest.version == "1.0.0"


@pytest.mark.parametrize(
    ("test", "why"),
    [
        ({"output": "y", "values": [2.0] * 3}, "gave"),
        ({"output": "yy", "values": [2.0]}, "did you mean 'y'"),
    ],
)
def test_a_self_test_that_asks_for_more_than_there_is_fails_clearly(
    tmp_path: Path, test: dict[str, object], why: str
) -> None:
    stored = version(tmp_path / "a", "1.0.0", 2, says=2)
    manifest = stored.manifest.model_dump(mode="json", exclude_unset=True)
    wrong = make_manifest(manifest | {"self_test": [{"fill": 1.0} | test]}, "test")
    with pytest.raises(ModelError, match=rf"scale 1\.0\.0: self_test\[0\].*{why}"):
        Swappable(StoredModel(wrong, stored.folder), load, self_test)


def test_an_answer_of_nan_passes_no_self_test(tmp_path: Path) -> None:
    stored = version(tmp_path / "a", "1.0.0", float("nan"), says=2)
    manifest = stored.manifest.model_dump(mode="json", exclude_unset=True)
    manifest["outputs"][0]["finite"] = False
    with pytest.raises(ModelError, match=r"self_test\[0\] gave \[nan, nan\]"):
        Swappable(StoredModel(make_manifest(manifest, "test"), stored.folder), load, self_test)


@pytest.mark.parametrize("test", [{}, {"prompt": "hello"}, {"output": "y"}])
def test_a_self_test_that_can_not_fail_is_refused(tmp_path: Path, test: dict[str, object]) -> None:
    stored = version(tmp_path / "a", "1.0.0", 2, says=2)
    manifest = stored.manifest.model_dump(mode="json", exclude_unset=True)
    with pytest.raises(ModelError, match=r"self_test.*tests nothing"):
        make_manifest(manifest | {"self_test": [test]}, "test")


def test_a_self_test_is_written_that_the_model_passes(tmp_path: Path) -> None:
    model = OnnxModel.load(version(tmp_path / "a", "1.0.0", 2, says=2))
    test = self_test_of(model, "y", fill=1.5, tolerance=0.01)
    assert (test.values, test.fill) == ((3.0, 3.0), 1.5)


def test_a_version_whose_file_was_changed_leaves_the_old_one_in_use(tmp_path: Path) -> None:
    running = Swappable(version(tmp_path / "a", "1.0.0", 2, says=2), load, self_test)
    bad = version(tmp_path / "b", "1.1.0", 3, says=3)
    (bad.folder / "m.onnx").write_bytes(b"x" * bad.manifest.model_file.bytes)
    with pytest.raises(ModelError, match=r"sha256.*scale 1\.0\.0 stays in use"):
        running.swap(bad)
    assert running.current.manifest.version == "1.0.0"


def test_another_model_is_no_new_version(tmp_path: Path) -> None:
    running = Swappable(version(tmp_path / "a", "1.0.0", 2, says=2), load, self_test)
    with pytest.raises(ModelError, match="other is another model"):
        running.swap(version(tmp_path / "b", "1.1.0", 3, says=3, name="other"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"labels": ["obstacle", "person"]}, r"labels\[0\] is obstacle, of .* it is person"),
        ({"labels": ["person"]}, r"labels is \['person'\], of .* it is \['person', 'obstacle'\]"),
        ({"options": {"cell_px": 16}}, r"options\.cell_px is 16, of .* it is 8"),
        ({"options": {}}, r"options\.cell_px is not set"),
        ({"task": "classify"}, "task is classify"),
        (
            {"outputs": [{"name": "y", "dtype": "float32", "shape": ["n", 2]}]},
            r"shape is \['n', 2\]",
        ),
        ({"inputs": [{"name": "x", "dtype": "float32", "shape": [1, 2], "units": "mm"}]}, "units"),
        ({"self_test": []}, "no self_test"),
    ],
)
def test_a_version_whose_answers_would_be_misread_leaves_the_old_one_in_use(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    """Who asks has the labels of the version before: a person would be an obstacle."""
    means: dict[str, object] = {"labels": ["person", "obstacle"], "options": {"cell_px": 8}}
    first = changed(version(tmp_path / "a", "1.0.0", 2, says=2), **means)
    running = Swappable(first, load, self_test)
    good = version(tmp_path / "b", "1.1.0", 3, says=3)
    with pytest.raises(ModelError, match=rf"scale 1\.1\.0: .*{said}.*scale 1\.0\.0 stays in use"):
        running.swap(changed(good, **(means | changes)))
    assert running.current.manifest.version == "1.0.0"
    assert running.swap(changed(good, **means)).manifest.version == "1.1.0"


def test_a_version_that_failed_is_given_to_who_frees_it(tmp_path: Path) -> None:
    running = Swappable(version(tmp_path / "a", "1.0.0", 2, says=2), load, self_test)
    with pytest.raises(ModelError, match="stays"):
        running.swap(version(tmp_path / "b", "1.1.0", 3, says=4))
    assert [model.manifest.version for model in running.retired] == ["1.1.0"]


def changed(stored: StoredModel, **changes: object) -> StoredModel:
    """Give a model another manifest."""
    data = stored.manifest.model_dump(mode="json", exclude_unset=True)
    return StoredModel(make_manifest(data | changes, "test"), stored.folder)
