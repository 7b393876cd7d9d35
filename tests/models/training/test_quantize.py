from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from olympus.models.training.quantize import quantize


@pytest.fixture
def float_file(tmp_path: Path) -> Path:
    """Two convolutions with a ReLU between them, 3 x 8 x 8 to 2 x 8 x 8."""
    rng = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(rng.normal(0, 0.3, shape).astype(np.float32), name)
        for name, shape in (("w1", (8, 3, 3, 3)), ("w2", (2, 8, 1, 1)))
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w1"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "bend"),
        helper.make_node("Conv", ["b", "w2"], ["c"], "second"),
        helper.make_node("Transpose", ["c"], ["y"], "turn", perm=[0, 2, 3, 1]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", [1, 3, 8, 8]), ("y", [1, 8, 8, 2]))
    ]
    graph = helper.make_graph(nodes, "small", ends[:1], ends[1:], weights)
    path = tmp_path / "float.onnx"
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return path


def examples(n: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(1)
    return [{"x": rng.normal(0, 1, (1, 3, 8, 8)).astype(np.float32)} for _ in range(n)]


def run(path: Path, feed: dict[str, np.ndarray]) -> np.ndarray:
    session = ort.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, feed)[0])


@pytest.mark.filterwarnings("ignore")
def test_the_small_file_answers_nearly_the_same_and_names_its_source(
    float_file: Path, tmp_path: Path
) -> None:
    small = tmp_path / "int8.onnx"
    source = quantize(float_file, small, examples(32))
    assert source == hashlib.sha256(float_file.read_bytes()).hexdigest()
    feed = examples(1)[0]
    exact, rough = run(float_file, feed), run(small, feed)
    assert 0 < np.abs(exact - rough).max() < 0.05 * np.ptp(exact)


@pytest.mark.filterwarnings("ignore")
def test_the_last_layer_of_a_kept_output_stays_in_float(float_file: Path, tmp_path: Path) -> None:
    small = tmp_path / "int8.onnx"
    quantize(float_file, small, examples(8), keep_float=["y"])
    weights = {tensor.name: tensor.data_type for tensor in onnx.load(small).graph.initializer}
    assert weights["w2"] == TensorProto.FLOAT
    assert any(name.startswith("w1_quantized") for name in weights)
