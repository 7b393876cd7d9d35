"""Drafts the manifest of an ONNX file: `python -m olympus.models.describe cats.onnx`."""

from __future__ import annotations

import argparse
import hashlib
import logging
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from olympus.models.manifest import MANIFEST_NAME, Manifest, Task, make_manifest, write_manifest
from olympus.models.onnx_file import Port, inspect
from olympus.runtime.errors import ModelError

log = logging.getLogger(__name__)


def describe(
    path: Path, *, task: str = "other", licence: str = "unknown", labels: Sequence[str] = ()
) -> Manifest:
    """Draft a manifest from what the file itself says.

    Names, dtypes, shapes, size and sha256 are right; what only its maker knows (units, layout,
    normalisation, accuracy, limits) is left to be written.

    Args:
        path: The ONNX file.
        task: What it is for, one of the manifest's tasks.
        licence: SPDX name.
        labels: Meaning of its classes, in order.

    Raises:
        ModelError: The file can't be read, is no ONNX file, or has tensors of an unknown kind.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ModelError(f"{path}: can't be read ({error.strerror}); is the path right?") from error
    name = re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("-._") or "model"
    inputs, outputs = inspect(name, data)
    draft: dict[str, object] = {
        "name": name[:64],
        "version": "0.1.0",
        "task": task,
        "licence": licence,
        "files": [
            {"path": path.name, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
        ],
        "inputs": [_tensor(port) for port in inputs],
        "outputs": [_tensor(port) for port in outputs],
        "labels": list(labels),
    }
    return make_manifest(draft, f"draft for {path}")


def _tensor(port: Port) -> dict[str, object]:
    """Describe a tensor; sizes that may vary get a name."""
    shape = [
        dim if isinstance(dim, int) else "batch" if i == 0 else f"size_{i}"
        for i, dim in enumerate(port.shape)
    ]
    return {"name": port.name, "dtype": port.dtype, "shape": shape}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a manifest beside an ONNX file; an existing one is never touched."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="ONNX file")
    parser.add_argument("--task", choices=get_args(Task), default="other")
    parser.add_argument("--licence", default="unknown", help="SPDX name")
    parser.add_argument("--labels", nargs="*", default=[], help="meaning of the classes, in order")
    args = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    target = args.file.parent / MANIFEST_NAME
    if target.exists():
        log.error("%s is already there; move it away first", target)
        return 2
    try:
        draft = describe(args.file, task=args.task, licence=args.licence, labels=args.labels)
    except ModelError as error:
        log.error("%s", error)
        return ModelError.exit_code
    write_manifest(draft, target)
    log.info("wrote %s; now write units, normalisation, accuracy and limits into it", target)
    return 0


if __name__ == "__main__":
    sys.exit(main())
