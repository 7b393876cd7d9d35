"""A message taken apart into header and body and put together again, as a bus does all the time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from olympus.runtime.messages.base import Header, Hop, Message, schema_by_class
from olympus.runtime.messages.compiled import (
    First,
    changer,
    function,
    maker,
    making,
    packer,
    rest_unpacker,
)
from olympus.runtime.messages.planned import may_have_arrays, planned
from olympus.runtime.messages.schema import AnyArray, Kind, field_kinds

make_header = maker(Header)
"""`(seq, stamp, expires, tier, source, trace)`, unchecked."""
make_hop = maker(Hop)
"""`(topic, seq, stamp, sent)`, unchecked."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The functions of one message class."""

    pack: Callable[[Message, list[AnyArray]], list[Any]]
    """Return the fields but the header as msgpack values; arrays are appended to the list.

    Raises MessageError: a field holds what its type does not allow.
    """
    unpack: Callable[[list[Any], list[AnyArray], str, Header], Any]
    """Return the message of such values, the arrays, the type's name and a header.

    Raises MessageError: they are not what the type needs.
    """
    received: Callable[..., Any]
    """The same in one step for a message that nothing else led to, whose header is made here.

    `(values, arrays, type's name, topic, seq, stamp, sent, expires, tier, source)`
    """
    with_header: Callable[[Any, Header], Any]
    """Return a copy with another header."""
    published: Callable[..., Any]
    """Return a copy with the header that it has when nothing else led to it and it never expires.

    `(message, topic, seq, now, tier, source)`
    """
    plan: Any = None
    """All that in C, where it is built."""
    has_arrays: bool = True
    """Whether a message may have any."""


_known: dict[type[Message], Parts] = {}


def parts_of(cls: type[Message]) -> Parts:
    """Return the functions of a message class.

    Raises:
        MessageError: It is no message type.
    """
    found = _known.get(cls)
    if found is None:
        found = _known[cls] = _made_for(cls)
    return found


def _made_for(cls: type[Message]) -> Parts:
    slow = python_parts(cls)
    shapes = [(part, [one.name for one in dataclasses.fields(part)]) for part in (Header, Hop)]
    names, kinds = field_kinds(cls)
    plan = planned(cls, names, kinds, parts=shapes, slow=slow)
    if plan is None:
        return slow
    has_arrays = any(may_have_arrays(kind) for kind in kinds)
    made = plan.pack, plan.unpack, plan.received, plan.with_header, plan.published
    return Parts(*made, plan, has_arrays)


def python_parts(cls: type[Message]) -> Parts:
    """Return the functions of a message class in Python, whatever is built: the reference.

    Raises:
        MessageError: It is no message type.
    """
    schema = schema_by_class(cls)
    names, kinds = field_kinds(cls)

    def complain(message: Message) -> None:
        schema.kind.pack(message, [])  # says which field it is

    return Parts(
        packer(names[1:], kinds[1:], complain),
        rest_unpacker(cls, kinds, First()),
        _received(cls, kinds),
        changer(cls, names[0]),
        _published(cls, names),
    )


def _published(cls: type[Message], names: Sequence[str]) -> Callable[..., Any]:
    known: dict[str, Any] = {}
    header, *others = names
    lines = [
        "def publish(old, topic, seq, now, tier, source):",
        *_header_lines("header", stamp="now", sent="now", expires="0", known=known),
        *making("made", cls, {header: "header"} | {n: f"old.{n}" for n in others}, known),
        " return made",
    ]
    return function("publish", lines, known)


def _received(cls: type[Message], kinds: Sequence[Kind]) -> Callable[..., Any]:
    known: dict[str, Any] = {}
    lines = _header_lines("first", stamp="stamp", sent="sent", expires="expires", known=known)
    first = First("topic, seq, stamp, sent, expires, tier, source", lines, known)
    return rest_unpacker(cls, kinds, first)


def _header_lines(
    made: str, *, stamp: str, sent: str, expires: str, known: dict[str, Any]
) -> list[str]:
    """Return lines that make the header of a message which nothing else led to."""
    hop = {"topic": "topic", "seq": "seq", "stamp": stamp, "sent": sent}
    header = {
        "seq": "seq", "stamp": stamp, "expires": expires, "tier": "tier", "source": "source",
        "trace": "(hop,)",
    }  # fmt: skip
    return [*making("hop", Hop, hop, known), *making(made, Header, header, known)]
