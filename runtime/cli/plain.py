"""Turns messages into plain values, for JSON and for people."""

from __future__ import annotations

import dataclasses
import json
import math
from enum import Enum
from typing import Any

import numpy as np
import yaml

from olympus.runtime.messages import Message, schema_by_class


def plain(value: Any, *, full: bool = False) -> Any:
    """Return a value made of dicts, lists, numbers, text and None.

    Args:
        value: A message, or anything a message holds.
        full: Write arrays out; else only their type and shape.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: plain(getattr(value, name), full=full) for name in names}
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), full=True) if full else f"{value.dtype}{list(value.shape)}"
    if isinstance(value, dict):
        return {str(name): plain(item, full=full) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item, full=full) for item in value]
    return _scalar(value)


def as_json(message: Message, *, full: bool = False) -> str:
    """Return a message as one line of JSON, with its type first.

    Args:
        message: Any message.
        full: Write arrays out.
    """
    name = schema_by_class(type(message)).name
    return json.dumps({"type": name, **plain(message, full=full)}, allow_nan=False)


def as_text(message: Message, *, full: bool = False) -> str:
    """Return a message as YAML, the fields that matter first and the header last.

    Args:
        message: Any message.
        full: Write arrays out.
    """
    fields = plain(message, full=full)
    header = fields.pop("header")
    text: str = yaml.safe_dump(
        {**fields, "header": header}, sort_keys=False, allow_unicode=True, width=100
    )
    return text + "---"


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
