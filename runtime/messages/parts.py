"""A message taken apart into header and body and put together again, as a bus does all the time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from olympus.runtime.errors import MessageError
from olympus.runtime.messages.base import Header, Hop, Message, schema_by_class
from olympus.runtime.messages.compiled import changer, maker, packer, rest_unpacker
from olympus.runtime.messages.schema import AnyArray, field_kinds

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
    with_header: Callable[[Any, Header], Any]
    """Return a copy with another header."""


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
    schema = schema_by_class(cls)
    names, kinds = field_kinds(cls)
    pack_rest = packer(names[1:], kinds[1:])

    def pack(message: Message, arrays: list[AnyArray]) -> list[Any]:
        try:
            return pack_rest(message, arrays)
        except MessageError:
            schema.kind.pack(message, [])  # says which field it is
            raise

    return Parts(pack, rest_unpacker(cls, kinds), changer(cls, names[0]))
