"""A host's journal as it is read: rows with texts and times filled in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgpack

from olympus.runtime.errors import DamageError
from olympus.runtime.messages import Journal
from olympus.runtime.node.journal import EVENTS, FORMAT, TIMED, Kind

_TEXTS: dict[Kind, tuple[int, ...]] = {
    Kind.CHANGE: (0,),
    Kind.MESSAGE: (0, 1, 2),
    Kind.TICK: (0,),
    Kind.ASKED: (0,),
    Kind.OBSERVED: (0,),
    Kind.SENT: (0,),
    Kind.WAITING: (1, 2),
}
"""Which fields of a row, after its time, are numbers of texts."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a journal."""

    kind: Kind
    node: int
    at_ns: int
    """Robot time; of rows without a time of their own, that of the row before."""
    fields: tuple[Any, ...]
    """As `Kind` lists them, without `dt`, with texts in place of their numbers."""

    @property
    def is_event(self) -> bool:
        """Whether it came to the node from outside."""
        return self.kind in EVENTS

    def __str__(self) -> str:
        return f"{_VERBS[self.kind]} {self._about()}".rstrip()

    def _about(self) -> str:
        match self.kind, self.fields:
            case Kind.MESSAGE, (_, topic, source, seq, *_):
                return f"{topic} no. {seq} of {source}"
            case Kind.SENT, (topic, seq):
                return f"{topic} no. {seq}"
            case Kind.WAITING, (_, kind, name, *_):
                return f"{kind} {name}"
            case ((Kind.TICK | Kind.CHANGE | Kind.ASKED | Kind.OBSERVED), (name, *_)):
                return str(name)
            case _:
                return ""


_VERBS = {
    Kind.HEAD: "began a journal",
    Kind.TEXT: "named",
    Kind.NODE: "was made",
    Kind.CHANGE: "was told to",
    Kind.MESSAGE: "took",
    Kind.TICK: "ticked",
    Kind.ASKED: "was asked",
    Kind.PARAMS: "got new parameters",
    Kind.RESUMED: "went on after waiting",
    Kind.CLOCK: "looked at the clock",
    Kind.OBSERVED: "looked at",
    Kind.SENT: "published",
    Kind.WAITING: "began to wait for",
    Kind.ANSWERED: "answered",
    Kind.TRACE: "traced",
}


def read_rows(pieces: Iterable[Journal]) -> Iterator[Row]:
    """Yield the rows of one host's journal.

    Args:
        pieces: Of one start of the host, in order, none missing.

    Raises:
        DamageError: They are no journal, or one of another version.
    """
    texts: list[str] = []
    now_ns = 0
    for piece in pieces:
        try:
            unpacker = msgpack.Unpacker(use_list=False, strict_map_key=False)
            unpacker.feed(piece.rows.tobytes())
            for raw in unpacker:
                row = _row(raw, texts, now_ns)
                now_ns = row.at_ns
                if row.kind is not Kind.TEXT:
                    yield row
        except (ValueError, IndexError, TypeError, msgpack.UnpackException) as error:
            number = piece.header.seq
            raise DamageError(
                f"piece no. {number} of the journal of {piece.host}: {error}"
            ) from error


def _row(raw: tuple[Any, ...], texts: list[str], now_ns: int) -> Row:
    kind = Kind(raw[0])
    if kind is Kind.HEAD:
        if raw[1].get("format") != FORMAT:
            raise ValueError(f"it is of format {raw[1].get('format')!r}, not {FORMAT}")
        return Row(kind, -1, raw[1]["start_ns"], (raw[1],))
    if kind is Kind.TEXT:
        texts.append(raw[1])
        return Row(kind, -1, now_ns, ())
    if kind is Kind.TRACE:
        return Row(kind, -1, now_ns, (raw[1], raw[2]))
    if kind is Kind.NODE:
        return Row(kind, -1, now_ns, (raw[1],))
    fields = list(raw[2:])
    if kind in TIMED:
        now_ns += fields.pop(0)
    for place in _TEXTS.get(kind, ()):
        fields[place] = texts[fields[place]]
    return Row(kind, raw[1], now_ns, tuple(fields))
