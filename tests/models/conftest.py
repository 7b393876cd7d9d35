"""Small ONNX files with manifests, made on the spot."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

MakeModel = Callable[..., Path]


def network(op: str, factor: float) -> bytes:
    """An ONNX file that computes y = x <op> factor for x (n, 4) float32."""
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "factor"], ["y"])],
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(np.array(factor, np.float32), "factor")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made)
    data: bytes = made.SerializeToString()
    return data


def manifest_of(name: str, data: bytes) -> dict[str, Any]:
    return {
        "name": name,
        "version": "1.0.0",
        "task": "other",
        "licence": "Apache-2.0",
        "files": [
            {
                "path": "small.onnx",
                "sha256": hashlib.sha256(data).hexdigest(),
                "bytes": len(data),
            }
        ],
        "inputs": [{"name": "x", "dtype": "float32", "shape": ["batch", 4]}],
        "outputs": [{"name": "y", "dtype": "float32", "shape": ["batch", 4]}],
    }


@pytest.fixture
def make_model(tmp_path: Path) -> MakeModel:
    """Make a model's folder: y = x * factor; changes are laid over its manifest."""

    def make(
        name: str = "doubler", *, op: str = "Mul", factor: float = 2.0, **changes: object
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        data = network(op, factor)
        (folder / "small.onnx").write_bytes(data)
        manifest = manifest_of(name, data) | changes
        (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")
        return folder

    return make
