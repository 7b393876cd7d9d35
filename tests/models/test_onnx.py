from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from olympus.models.describe import describe
from olympus.models.onnx import OnnxModel, open_model
from olympus.models.registry import Registry, StoredModel
from olympus.runtime.errors import ModelError

MakeModel = Callable[..., Path]
ROW = np.array([[1, 2, 3, 4]], np.float32)


def load(folder: Path) -> OnnxModel:
    return OnnxModel.load(Registry().find(folder))


def tensor(name: str, **changes: object) -> list[dict[str, object]]:
    return [{"name": name, "dtype": "float32", "shape": ["batch", 4]} | changes]


def test_a_model_computes(make_model: MakeModel) -> None:
    model = load(make_model())
    assert model.run({"x": ROW})["y"].tolist() == [[2, 4, 6, 8]]


def test_a_named_size_may_vary(make_model: MakeModel) -> None:
    model = load(make_model())
    assert model.run({"x": np.ones((5, 4), np.float32)})["y"].shape == (5, 4)


def test_a_view_with_gaps_gives_the_same_result(make_model: MakeModel) -> None:
    model = load(make_model())
    wide = np.arange(16, dtype=np.float32).reshape(2, 8)
    result = model.run({"x": wide[:, ::2]})["y"]
    assert result.tolist() == (wide[:, ::2] * 2).tolist()


def test_a_read_only_array_is_taken(make_model: MakeModel) -> None:
    frozen = ROW.copy()
    frozen.setflags(write=False)
    assert load(make_model()).run({"x": frozen})["y"].shape == (1, 4)


def test_many_threads_may_run_one_model(make_model: MakeModel) -> None:
    model = load(make_model())
    rows = [np.full((1, 4), i, np.float32) for i in range(64)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda row: float(model.run({"x": row})["y"][0, 0]), rows))
    assert results == [2.0 * i for i in range(64)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (ROW.astype(np.float64), r"model doubler: input x has dtype float64, wants float32"),
        (ROW[0], r"model doubler: input x has shape \[4\], wants \[batch, 4\]"),
        (ROW[:, :3], r"model doubler: input x has shape \[1, 3\], wants \[batch, 4\]"),
    ],
)
def test_an_ill_shaped_input_is_refused(
    make_model: MakeModel, given: np.ndarray, message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        load(make_model()).run({"x": given})


def test_a_missing_or_unknown_input_is_refused(make_model: MakeModel) -> None:
    model = load(make_model())
    with pytest.raises(ModelError, match=r"model doubler: input x is missing; given: \['z'\]"):
        model.run({"z": ROW})
    with pytest.raises(ModelError, match=r"model doubler: input z is unknown"):
        model.run({"x": ROW, "z": ROW})


def test_an_output_of_nan_is_refused(make_model: MakeModel) -> None:
    model = load(make_model("maker", op="Add", factor=1.0))
    with pytest.raises(ModelError, match="model maker: output y holds NaN or infinity"):
        model.run({"x": ROW * np.nan})


def test_a_model_that_always_gives_nan_does_not_load(make_model: MakeModel) -> None:
    with pytest.raises(ModelError, match="model sick: output y holds NaN"):
        load(make_model("sick", op="Add", factor=float("nan")))


def test_nan_is_let_through_where_the_manifest_says_so(make_model: MakeModel) -> None:
    folder = make_model("sick", op="Add", factor=float("nan"), outputs=tensor("y", finite=False))
    assert np.isnan(load(folder).run({"x": ROW})["y"]).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": tensor("x", dtype="uint8")}, r"input x: the file says dtype float32"),
        ({"inputs": tensor("x", shape=[1, 5])}, r"input x: the file says shape \['n', 4\]"),
        ({"inputs": tensor("x", shape=["batch", "any"])}, r"input x: .* \['batch', 'any'\]"),
        ({"inputs": tensor("z")}, r"the file wants input x; add it to inputs"),
        ({"inputs": tensor("x") + tensor("xx")}, r"inputs\.name 'xx' is not in the file"),
        ({"outputs": tensor("y", shape=[4])}, r"output y: the file says shape"),
        ({"outputs": tensor("yy")}, r"outputs\.name 'yy' is not in the file; did you mean 'y'"),
    ],
)
def test_a_manifest_that_does_not_fit_its_file_is_refused(
    make_model: MakeModel, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=f"model doubler: {message}"):
        load(make_model("doubler", **changes))


def test_a_file_that_is_no_onnx_is_refused(make_model: MakeModel) -> None:
    data = b"this is not a network"
    entry = {
        "path": "small.onnx",
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
    }
    folder = make_model("doubler", files=[entry])
    (folder / "small.onnx").write_bytes(data)
    with pytest.raises(ModelError, match="model doubler: file can't be loaded by ONNX Runtime"):
        load(folder)


def test_a_fixed_batch_of_the_manifest_is_kept(make_model: MakeModel) -> None:
    model = load(make_model("doubler", inputs=tensor("x", shape=[1, 4])))
    with pytest.raises(ModelError, match=r"has shape \[2, 4\], wants \[1, 4\]"):
        model.run({"x": np.ones((2, 4), np.float32)})


def test_an_unknown_provider_is_refused(make_model: MakeModel) -> None:
    with pytest.raises(ModelError, match=r"provider 'CPUExecutionProvidr' .* did you mean"):
        open_model(str(make_model()), providers=["CPUExecutionProvidr"])


def slow_model(tmp_path: Path) -> OnnxModel:
    """A chain of a hundred products of matrices: each takes some milliseconds."""
    n = 384
    nodes = [
        helper.make_node("MatMul", [f"x{i}" if i else "x", "x"], [f"x{i + 1}" if i < 99 else "y"])
        for i in range(100)
    ]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [n, n]) for name in ("x", "y"))
    graph = helper.make_graph(nodes, "slow", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = model.SerializeToString()
    (tmp_path / "slow.onnx").write_bytes(data)
    manifest = describe(tmp_path / "slow.onnx", licence="MIT")
    return OnnxModel.load(StoredModel(manifest, tmp_path))


def abort_until(model: OnnxModel, is_over: threading.Event, delay_s: float) -> None:
    while not is_over.wait(delay_s):
        model.abort()
        delay_s = 0.001


def test_a_run_is_aborted_and_the_model_goes_on(tmp_path: Path) -> None:
    model = slow_model(tmp_path)
    x = np.zeros((384, 384), np.float32)
    model.abort()  # idle: harmless
    model.run({"x": x})
    for delay_s in (0.0, 0.001, 0.005, 0.02):
        is_over = threading.Event()
        thread = threading.Thread(target=abort_until, args=(model, is_over, delay_s))
        thread.start()
        with pytest.raises(ModelError, match="slow: the run was aborted"):
            while True:
                model.run({"x": x})
        is_over.set()
        thread.join()
    model.run({"x": x})


def test_a_bound_model_reads_and_writes_memory_in_place(tmp_path: Path) -> None:
    model = slow_model(tmp_path)
    x = np.zeros((384, 384), np.float32)
    bound = model.bind({"x": x})
    out = bound.run()["y"]
    assert not out.any()
    x[:] = np.eye(384, dtype=np.float32)
    assert bound.run()["y"] is out
    assert np.array_equal(out, x)
    with pytest.raises(ModelError, match="not contiguous"):
        model.bind({"x": np.zeros((768, 384), np.float32)[::2]})
