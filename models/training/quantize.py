"""Makes an ONNX file small: static INT8 with QDQ nodes, one scale per channel of the weights."""

from __future__ import annotations

import argparse
import hashlib
import logging
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

SCHEME = "int8 qdq, weights s8 per channel, activations u8"
Feed = Mapping[str, NDArray[np.generic]]


class Examples(CalibrationDataReader):  # type: ignore[misc]
    """Hands calibration examples to ONNX Runtime one by one."""

    def __init__(self, feeds: Iterable[Feed]) -> None:
        self._left = iter(feeds)

    def get_next(self) -> Feed | None:
        """Give the next example, None at the end."""
        return next(self._left, None)


def quantize(
    source: Path, target: Path, feeds: Iterable[Feed], *, keep_float: Iterable[str] = ()
) -> str:
    """Quantize a model.

    Args:
        source: Float ONNX file.
        target: File to write.
        feeds: Calibration examples, as `session.run` takes them; a few hundred.
        keep_float: Outputs whose last layer stays in float.

    Returns:
        The sha256 of `source`.
    """
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            Examples(feeds),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=_tail(onnx.load(prepared), set(keep_float)),
        )
    return hashlib.sha256(source.read_bytes()).hexdigest()


def _tail(model: onnx.ModelProto, outputs: set[str]) -> list[str]:
    """Name the nodes from each output back to its last convolution or product, inclusive."""
    makers = {name: node for node in model.graph.node for name in node.output}
    pending, names = [makers[name] for name in outputs], []
    while pending:
        node = pending.pop()
        names.append(node.name)
        if node.op_type not in ("Conv", "Gemm", "MatMul"):
            pending += [makers[name] for name in node.input if name in makers]
    return sorted(set(names))


def main() -> None:
    """Quantize with examples from an .npz file, one array for each input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", type=Path, help="float ONNX file")
    parser.add_argument("target", type=Path, help="file to write")
    parser.add_argument(
        "--examples", type=Path, required=True, help=".npz: an array (n, ...) for each input"
    )
    parser.add_argument("--keep-float", action="append", default=[], metavar="OUTPUT")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arrays = dict(np.load(args.examples))
    count = min(len(array) for array in arrays.values())
    feeds = ({name: array[i : i + 1] for name, array in arrays.items()} for i in range(count))
    source = quantize(args.source, args.target, feeds, keep_float=args.keep_float)
    logging.info("%s (from %s), %d examples", args.target, source[:12], count)


if __name__ == "__main__":
    main()
