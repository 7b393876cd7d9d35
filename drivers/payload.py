"""Get the number out of a payload that anybody may have sent."""

from __future__ import annotations

import json
import math
import struct
from typing import Final

from olympus.drivers.readings import ReadingRule

MAX_BYTES: Final = 65_536
"""Longer payloads are no readings."""

Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None


class PayloadError(ValueError):
    """A payload holds no value; `reason` is one of a few fixed words, to count by."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(f"{reason}: {text}")
        self.reason = reason


def decode_value(rule: ReadingRule, payload: bytes) -> float:
    """Return the value in a payload, scaled to the rule's unit; its range is not looked at.

    Args:
        rule: What the payload should be.
        payload: Whatever came.

    Returns:
        A finite number.

    Raises:
        PayloadError: There is none: `too_long`, `empty`, `not_text`, `not_json`, `no_such_path`,
            `not_a_number`, `wrong_size` or `not_finite`.
    """
    if len(payload) > MAX_BYTES:
        raise PayloadError("too_long", f"{len(payload)} bytes, at most {MAX_BYTES}")
    if not payload:
        raise PayloadError("empty", "no bytes at all")
    raw = _raw(rule, payload)
    value = raw * rule.scale + rule.offset
    if not math.isfinite(value):
        raise PayloadError("not_finite", f"{raw!r} is no finite number")
    return value


def _raw(rule: ReadingRule, payload: bytes) -> float:
    if rule.kind == "binary":
        return _from_bytes(rule, payload)
    try:
        text = payload.decode()
    except UnicodeDecodeError as error:
        raise PayloadError("not_text", str(error)) from error
    if rule.kind == "number":
        return _number(rule, text.strip())
    return _number(rule, _at_path(_parse(text), rule.path))


def _from_bytes(rule: ReadingRule, payload: bytes) -> float:
    try:
        found = struct.unpack(rule.format, payload)[rule.index]
    except struct.error as error:
        raise PayloadError("wrong_size", f"{len(payload)} bytes: {error}") from error
    if isinstance(found, bytes):
        return _number(rule, found.rstrip(b"\0").decode(errors="replace"))
    return float(found)


def _parse(text: str) -> Json:
    try:
        parsed: Json = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise PayloadError("not_json", f"{error}"[:200]) from error
    return parsed


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no JSON number")


def _at_path(value: Json, path: str) -> Json:
    for step in _steps(path):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step[:9]) < len(value):
            value = value[int(step[:9])]
        else:
            raise PayloadError("no_such_path", f"there is no {step!r} on the way {path!r}")
    return value


def _steps(path: str) -> list[str]:
    """Take a path apart. Source: RFC 6901 for those that begin with a slash."""
    if not path.startswith("/"):
        return path.split(".") if path else []
    return [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")[1:]]


def _number(rule: ReadingRule, value: Json) -> float:
    if isinstance(value, str) and value in rule.words:
        return rule.words[value]
    # Python would read 1_000 as a number; nobody else does.
    if isinstance(value, dict | list) or value is None or (isinstance(value, str) and "_" in value):
        raise PayloadError("not_a_number", f"{type(value).__name__} is no number")
    try:
        return float(value)
    except (ValueError, OverflowError) as error:
        raise PayloadError("not_a_number", f"{str(value)[:60]!r}: {error}"[:200]) from error
