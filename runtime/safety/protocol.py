"""What is said on the guardian's socket: JSON datagrams of at most 2 KiB."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from olympus.runtime.errors import SafetyError, did_you_mean
from olympus.runtime.safety.shared import NAME_BYTES

SOCKET: Final = "guardian.sock"
"""Name of the datagram socket in the safety directory."""

UNGUARDED: Final = "unguarded"
"""Name of an empty file in the safety directory of a launch that has no guardian."""

LARGEST: Final = 2048
"""Largest datagram that is read, in bytes."""

LONGEST_TEXT: Final = 200
"""Texts are cut to this many letters."""

LONGEST_GOOD_S: Final = 3600.0
"""No word on a condition may be good for longer, unless it is good for ever."""

_OPERATIONS: Final = ("stop", "kill", "reset", "status", "condition", "sealed")


@dataclass(frozen=True, slots=True)
class StopRequest:
    """Stop, now."""

    cause: str
    by: str
    is_kill: bool = False
    """Whether only the console or the board may lift it."""


@dataclass(frozen=True, slots=True)
class ResetRequest:
    """Permit motion again."""

    by: str
    latch: int
    """The number of the newest trip that the asker has seen."""


@dataclass(frozen=True, slots=True)
class StatusRequest:
    """Tell how things stand."""


@dataclass(frozen=True, slots=True)
class ConditionReport:
    """Say whether something that motion depends on is good."""

    name: str
    ok: bool
    text: str
    good_for_s: float | None = None
    """How long this word is good unless it is said again; None for ever."""


@dataclass(frozen=True, slots=True)
class SealedOrder:
    """A stop from another machine, to be opened by `seal.SealReader`."""

    text: str


Request = StopRequest | ResetRequest | StatusRequest | ConditionReport | SealedOrder


def parse(raw: bytes) -> tuple[Request, str | int | None]:
    """Understand a datagram.

    A stop is understood whenever it can be: the bare word `stop` or `kill` is enough, and texts of
    a wrong type do not matter. Everything else must be right.

    Args:
        raw: The datagram.

    Returns:
        The request, and the `id` to answer with (None when there was none).

    Raises:
        SafetyError: It is no request, with the way out.
    """
    word = raw.strip().lower()
    if word in (b"stop", b"kill"):
        return StopRequest(word.decode(), "unnamed", word == b"kill"), None
    found = _object(raw)
    return _request(found), _mark(found)


def _request(found: Mapping[str, object]) -> Request:
    operation = found.get("op")
    match operation:
        case "stop" | "kill":
            cause, by = (_loose(found, key) for key in ("cause", "by"))
            return StopRequest(cause, by, operation == "kill")
        case "reset":
            return ResetRequest(_text(found, "by"), _whole(found, "latch"))
        case "status":
            return StatusRequest()
        case "condition":
            return _condition(found)
        case "sealed":
            order = found.get("order")
            return SealedOrder(order if isinstance(order, str) else "")
    meant = operation[:LONGEST_TEXT] if isinstance(operation, str) else ""
    raise SafetyError(f"op={_shown(operation)} is no request; {did_you_mean(meant, _OPERATIONS)}")


def mark_of(raw: bytes) -> str | int | None:
    """Find the `id` of a datagram that may be wrong in every other way."""
    try:
        return _mark(_object(raw))
    except SafetyError:
        return None


def printable(text: str) -> str:
    """Cut a foreign text to a fair length, without control characters."""
    return "".join(one if one.isprintable() else "?" for one in text[:LONGEST_TEXT])


def _object(raw: bytes) -> Mapping[str, object]:
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise SafetyError(
            f"no JSON ({type(error).__name__}); send an object with `op`, e.g. "
            '{"op": "stop", "cause": "…", "by": "…"}'
        ) from error
    if not isinstance(found, dict):
        raise SafetyError("not an object; send an object with `op`")
    return found


def _mark(found: Mapping[str, object]) -> str | int | None:
    mark = found.get("id")
    return mark if isinstance(mark, str | int) else None


def _shown(value: object) -> str:
    # Foreign values may be nested too deeply for repr.
    if value is None or isinstance(value, str | int | float):
        return printable(repr(value))
    return f"a {type(value).__name__}"


def _condition(found: Mapping[str, object]) -> ConditionReport:
    name, ok = _text(found, "name"), found.get("ok")
    if not isinstance(ok, bool):
        raise SafetyError(f"ok={_shown(ok)} must be true or false")
    if len(name.encode()) > NAME_BYTES:
        raise SafetyError(f"name={_shown(name)} is longer than {NAME_BYTES} bytes; shorten it")
    return ConditionReport(name, ok, _loose(found, "text", ""), _good_for(found))


def _good_for(found: Mapping[str, object]) -> float | None:
    value = found.get("good_for_s")
    if value is None:
        return None
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < float(str(value)) <= LONGEST_GOOD_S:
        raise SafetyError(f"good_for_s={_shown(value)} must be above 0, at most {LONGEST_GOOD_S:g}")
    return float(str(value))


def _loose(found: Mapping[str, object], key: str, default: str = "unnamed") -> str:
    value = found.get(key)
    return (printable(value) if isinstance(value, str) else "") or default


def _text(found: Mapping[str, object], key: str) -> str:
    value = found.get(key)
    if not isinstance(value, str) or not value.strip():
        raise SafetyError(f"{key}={_shown(value)} must be a text that is not empty")
    return printable(value)


def _whole(found: Mapping[str, object], key: str) -> int:
    value = found.get(key)
    if isinstance(value, bool) or not isinstance(value, int):
        raise SafetyError(f"{key}={_shown(value)} must be a whole number; read it from the status")
    return value
