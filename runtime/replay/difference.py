"""Where two messages differ first, and what was found to be equal."""

from __future__ import annotations

import dataclasses
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np

from olympus.runtime.messages import Message, decode
from olympus.runtime.node.journal import Ending

_NOTHING = object()
_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that a replay did otherwise than the original."""

    topic: str
    seq: int
    source: str
    field: str
    """Which one, such as `items[0].confidence`; what happened instead for acts."""
    recorded: str
    replayed: str
    at_ns: int
    """Robot time of the original."""

    def __str__(self) -> str:
        return (
            f"{self.topic} no. {self.seq} of {self.source}, {self.field}:\n"
            f"  recorded {self.recorded}\n  replayed {self.replayed}"
        )


@dataclass(slots=True)
class Tally:
    """What was compared of one topic."""

    topic: str
    equal: int = 0
    differing: int = 0
    unrecorded: int = 0
    """Published anew, and not in the recording."""
    missing: int = 0
    """In the recording, and not published anew."""
    uncovered: int = 0
    """In the recording, and sent after the end of its node's journal."""
    found: Counter[str] = field(default_factory=Counter)
    """How many that were published anew are in the recording, by source."""
    _hash: Any = field(default_factory=hashlib.sha256)

    def add(self, frame: bytes) -> None:
        """Count a frame that was published anew, and let the hash go on with it."""
        self._hash.update(len(frame).to_bytes(4, "little"))
        self._hash.update(frame)

    @property
    def digest(self) -> str:
        """The sha256 of what was published anew, in order."""
        return str(self._hash.hexdigest())


def first_difference(recorded: Message, replayed: Message) -> tuple[str, str, str]:
    """Return the first field in which two messages differ, and both values as text.

    The header comes last: what differs in the body explains more.
    """
    if type(recorded) is not type(replayed):
        return "type", type(recorded).__name__, type(replayed).__name__
    names = [one.name for one in dataclasses.fields(recorded)]
    for name in sorted(names, key=lambda one: one == "header"):
        for path, a, b in _walk(name, getattr(recorded, name), getattr(replayed, name)):
            return path, _text(a), _text(b)
    return "bytes", "the same values", "in another encoding"


def answer_text(answer: tuple[Any, ...]) -> str:
    """Return a service's answer as text: its ending, and a frame or an error's row."""
    if answer[0] != Ending.DONE:
        return " ".join(str(part) for part in (answer[1] or ("cancelled",)))
    return repr(decode(answer[1]))


def _walk(path: str, a: Any, b: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        yield from _walk_arrays(path, a, b)
    elif (parts := _parts(path, a, b)) is not None:
        for name, x, y in parts:
            yield from _walk(name, x, y)
    elif type(a) is not type(b) or not _same(a, b):
        yield path, a, b


def _parts(path: str, a: Any, b: Any) -> list[tuple[str, Any, Any]] | None:
    """Return the named parts of two values that have some."""
    if dataclasses.is_dataclass(a) and type(a) is type(b):
        names = [one.name for one in dataclasses.fields(a)]
        return [(f"{path}.{name}", getattr(a, name), getattr(b, name)) for name in names]
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        keys = dict.fromkeys((*a, *b))
        return [(f"{path}[{key!r}]", a.get(key, _NOTHING), b.get(key, _NOTHING)) for key in keys]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        pairs = zip_longest(a, b, fillvalue=_NOTHING)
        return [(f"{path}[{index}]", x, y) for index, (x, y) in enumerate(pairs)]
    return None


def _walk_arrays(
    path: str, a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]
) -> Iterator[tuple[str, Any, Any]]:
    if a.dtype != b.dtype or a.shape != b.shape:
        yield path, f"{a.dtype}{list(a.shape)}", f"{b.dtype}{list(b.shape)}"
        return
    if a.tobytes() == b.tobytes():
        return
    flat_a, flat_b = a.reshape(-1), b.reshape(-1)
    for index in range(flat_a.size):
        if flat_a[index].tobytes() != flat_b[index].tobytes():
            place = ", ".join(str(int(one)) for one in np.unravel_index(index, a.shape))
            yield f"{path}[{place}]", flat_a[index], flat_b[index]
            return


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, float):
        return np.float64(a).tobytes() == np.float64(b).tobytes()
    return bool(a == b)


def _text(value: Any) -> str:
    if value is _NOTHING:
        return "nothing"
    text = repr(value.item()) if isinstance(value, np.generic) else repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
