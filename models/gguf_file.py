"""Looks into a GGUF file without llama.cpp: which tensors it has, whether they are floats."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from pathlib import Path
from typing import Final

from olympus.runtime.errors import ModelError

FLOATS: Final = {0: 4, 1: 2, 28: 8, 30: 2}
"""Bytes of a value, by ggml's number of its type: F32, F16, F64, BF16."""
_TEXT: Final = 8
_LIST: Final = 9
_BYTES: Final = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
"""Of a fact of fixed size, by the number of its type."""
_NUMBERS: Final = {
    **{0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 10: "Q", 11: "q"},
    **{6: "f", 12: "d"},
}
"""How Python reads a number, by the number of its type."""
_MOST_DIMS: Final = 4
_ALIGNMENT: Final = 32


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """One tensor."""

    name: str
    shape: tuple[int, ...]
    kind: int
    """ggml's number of its type."""
    start: int
    """Of its data, in bytes from the file's beginning."""

    @property
    def is_float(self) -> bool:
        """Whether it is not quantized."""
        return self.kind in FLOATS


@dataclass(frozen=True, slots=True)
class GgufFile:
    """What stands before the data."""

    facts_end: int
    """Where the facts end and the list of tensors begins."""
    tensors: tuple[GgufTensor, ...]


def look_into(path: Path, data: bytes) -> GgufFile:
    """Read what stands before the data of a GGUF file.

    Args:
        path: What errors call it.
        data: The whole file.

    Raises:
        ModelError: It is no GGUF file, or is cut off.

    Source: github.com/ggml-org/ggml, docs/gguf.md, versions 2 and 3.
    """
    if data[:4] != b"GGUF" or len(data) < 8:
        raise ModelError(f"{path}: is no GGUF file")
    reader = _Reader(data)
    try:
        return reader.all()
    except (struct.error, ValueError, KeyError, RecursionError) as error:
        raise ModelError(f"{path}: is cut off or damaged: fetch it again ({error})") from error


def first_facts(path: Path, data: bytes | mmap) -> dict[str, int | float]:
    """Read the numbers that stand before the words of a GGUF file, quick for any size.

    Args:
        path: What errors call it.
        data: The whole file.

    Returns:
        Facts such as `llama.block_count`, by name; those after the first list are left out.

    Raises:
        ModelError: It is no GGUF file, or is cut off.
    """
    if data[:4] != b"GGUF" or len(data) < 8:
        raise ModelError(f"{path}: is no whole GGUF file")
    reader = _Reader(data)
    try:
        return dict(reader.first_facts())
    except (struct.error, ValueError, KeyError) as error:
        raise ModelError(f"{path}: is no whole GGUF file: fetch it again ({error})") from error


class _Reader:
    def __init__(self, data: bytes | mmap) -> None:
        self._data, self._at = data, 4

    def all(self) -> GgufFile:
        version = self._number("I")
        if version not in (2, 3):
            raise ValueError(f"version {version} of the format is not known")
        tensors, facts = self._number("Q"), self._number("Q")
        for _ in range(facts):
            self._text()
            self._skip(self._number("I"))
        facts_end = self._at
        found = [self._tensor() for _ in range(tensors)]
        begin = math.ceil(self._at / _ALIGNMENT) * _ALIGNMENT
        placed = tuple(GgufTensor(name, shape, kind, begin + at) for name, shape, kind, at in found)
        for one in placed:
            if one.start + math.prod(one.shape) * FLOATS.get(one.kind, 0) > len(self._data):
                raise ValueError(f"tensor {one.name} lies beyond the end")
        return GgufFile(facts_end, placed)

    def first_facts(self) -> Iterator[tuple[str, int | float]]:
        self._at += 4 + 8  # version, number of tensors
        for _ in range(self._number("Q")):
            name, kind = self._text(), self._number("I")
            if kind == _LIST:
                return
            if kind in _NUMBERS:
                yield name, self._unpacked(_NUMBERS[kind])
            else:
                self._skip(kind)

    def _number(self, kind: str) -> int:
        return int(self._unpacked(kind))

    def _unpacked(self, kind: str) -> int | float:
        found: tuple[int | float] = struct.unpack_from(f"<{kind}", self._data, self._at)
        self._at += struct.calcsize(f"<{kind}")
        return found[0]

    def _text(self) -> str:
        return self._taken(self._number("Q")).decode("utf-8", "replace")

    def _taken(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise ValueError("it ends too early")
        begin, self._at = self._at, self._at + size
        return self._data[begin : self._at]

    def _skip(self, kind: int) -> None:
        if kind == _TEXT:
            self._text()
        elif kind == _LIST:
            of, n = self._number("I"), self._number("Q")
            if of in _BYTES:
                self._taken(n * _BYTES[of])
                return
            for _ in range(n):
                self._skip(of)
        else:
            self._taken(_BYTES[kind])

    def _tensor(self) -> tuple[str, tuple[int, ...], int, int]:
        name, dims = self._text(), self._number("I")
        if dims > _MOST_DIMS:
            raise ValueError(f"tensor {name} has {dims} axes")
        shape = tuple(self._number("Q") for _ in range(dims))
        return name, shape, self._number("I"), self._number("Q")
