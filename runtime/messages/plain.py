"""Turns messages into plain values, for JSON and for people."""

from __future__ import annotations

import dataclasses
import math
from enum import Enum
from typing import Any

import numpy as np


def plain(value: Any, *, full: bool = False, most: int = 0) -> Any:
    """Return a value made of dicts, lists, numbers, text and None.

    Args:
        value: A message, or anything a message holds.
        full: Write arrays out; else only their type and shape.
        most: Write arrays out that have at most so many numbers.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: plain(getattr(value, name), full=full, most=most) for name in names}
    if isinstance(value, np.ndarray):
        is_short = full or 0 < value.size <= most
        return plain(value.tolist(), full=True) if is_short else f"{value.dtype}{list(value.shape)}"
    if isinstance(value, dict):
        return {str(name): plain(item, full=full, most=most) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item, full=full, most=most) for item in value]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, np.generic):
        return _scalar(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (bytes, memoryview)):
        return f"{len(value)} bytes"
    return value
