"""The functions of a message class in C, where that is built; see runtime/quick."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from types import MemberDescriptorType
from typing import TYPE_CHECKING, Any

from olympus.runtime.messages.within import Choice, Free, Items, Pairs, Record
from olympus.runtime.quick import quick

if TYPE_CHECKING:
    from olympus.runtime.messages.parts import Parts
    from olympus.runtime.messages.schema import Kind


class _Op(IntEnum):
    """How a field is packed and unpacked; the same numbers are in quick/fields.h."""

    BOOL = 0
    STR = 1
    BYTES = 2
    INT = 3
    FLOAT = 4
    ITEMS = 5
    RECORD = 6
    PAIRS = 7
    CHOICE = 8
    FREE = 9
    CALL = 10
    """By the kind's own functions."""


def planned(
    cls: type[Any],
    names: Sequence[str],
    kinds: Sequence[Kind],
    *,
    parts: Sequence[tuple[type[Any], Sequence[str]]],
    slow: Parts,
) -> Any:
    """Return an object whose methods do what the functions of `Parts` do; None if there is none.

    Args:
        cls: The message class.
        names: Of its fields, that of the header first.
        kinds: Of its fields.
        parts: The classes of a header and of a hop, and the names of their fields.
        slow: The functions in Python: do what can't be done here, and say what is wrong.
    """
    if quick is None:
        return None
    fields = tuple(_field(kind) for kind in kinds)
    (header, header_names), (hop, hop_names) = parts
    return quick.Plan(
        cls, tuple(names), fields, hasattr(cls, "__post_init__"),
        header, tuple(header_names), hop, tuple(hop_names),
        slow.pack, slow.unpack, slow.received, slow.with_header, slow.published,
    )  # fmt: skip


def may_have_arrays(kind: Kind) -> bool:
    """Tell whether a field of this kind may hold an array, at any depth."""
    match kind.within:
        case Items(item, _):
            return may_have_arrays(item)
        case Record(_, _, kinds):
            return any(may_have_arrays(one) for one in kinds)
    return "array(" in kind.text


def _field(kind: Kind) -> tuple[Any, ...]:
    """Return `(op, most, class, out, in, names, fields)` of a field."""
    match kind.within:
        case Items(item, most):
            return _Op.ITEMS, most, None, None, None, None, _field(item)
        case Record(cls, names, kinds) if _is_plain(cls, names):
            fields = tuple(_field(one) for one in kinds)
            return _Op.RECORD, 0, cls, None, None, tuple(names), fields
        case Pairs():
            return _Op.PAIRS, 0, None, None, None, None, None
        case Choice(cls, values):
            members = {value: member for member, value in values.items()}
            return _Op.CHOICE, 0, cls, dict(values), members, None, None
        case Free(dtype, ndim):
            return _Op.FREE, ndim, None, dtype, None, None, None
        case None if kind.text.upper() in _Op.__members__:
            return _Op[kind.text.upper()], 0, None, None, None, None, None
    return _Op.CALL, 0, None, kind.pack, kind.unpack, None, None


def _is_plain(cls: type[Any], names: Sequence[str]) -> bool:
    """Tell whether instances of a dataclass are their slots and nothing more."""
    slots = all(isinstance(getattr(cls, name, None), MemberDescriptorType) for name in names)
    return slots and not hasattr(cls, "__post_init__")
