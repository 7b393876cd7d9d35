"""What a record says, taken out of it again: nothing in it is trusted.

The layout is in records.py.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgpack
import numpy as np

from olympus.runtime.errors import MessageError
from olympus.runtime.messages.codec import checked_array
from olympus.runtime.messages.schema import MAX_ITEMS, AnyArray
from olympus.runtime.qos import Tier
from olympus.runtime.quick import quick

_MOST_LAYOUTS = 256
_TIERS = tuple(Tier)


def unpack_body(data: Any, start: int, length: int) -> list[Any]:
    """Return the msgpack list of a body.

    Raises:
        MessageError: It is none.
    """
    try:
        if length <= MAX_ITEMS:  # so short that nothing in it can have more items
            body = msgpack.unpackb(data[start : start + length])
        else:
            body = msgpack.unpackb(
                memoryview(data)[start : start + length],
                strict_map_key=True,
                max_array_len=MAX_ITEMS,
                max_map_len=MAX_ITEMS,
            )
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise MessageError(f"the body is no msgpack: {error}") from error
    if type(body) is not list:
        raise MessageError("the body is no list")
    return body


def read_arrays(
    entries: object, record: bytes | memoryview, tail: int, bases: Sequence[AnyArray]
) -> list[AnyArray]:
    """Return the arrays of a record: views that can only be read.

    Args:
        entries: As in the body.
        record: The whole record.
        tail: Where its short arrays start.
        bases: The bytes of its slots, in their order.

    Raises:
        MessageError: An entry is none, or goes beyond its place.
    """
    if type(entries) is not list:
        raise MessageError("the arrays are no list")
    arrays: list[AnyArray] = []
    for entry in entries:
        if type(entry) is not list or len(entry) != 4 or type(entry[1]) is not list:
            text = f"array {len(arrays)} is not [dtype, shape, place, start]: {entry!r:.60}"
            raise MessageError(text)
        kind, lengths, place, start = entry
        try:
            dtype, shape, nbytes = _layouts[kind, *lengths]
        except (KeyError, TypeError):  # it is new, or something in it is no number
            dtype, shape, nbytes = _layout(kind, lengths, len(arrays))
        is_place = type(place) is int and type(start) is int and start >= 0
        if not is_place or not -1 <= place < len(bases):
            raise MessageError(f"array {len(arrays)} has no place in {len(bases)}: {entry!r:.60}")
        if not nbytes:
            arrays.append(_empty(dtype, shape))
            continue
        held: Any = bases[place] if place >= 0 else record
        start += 0 if place >= 0 else tail
        if start + nbytes > len(held):
            text = f"array {len(arrays)} of shape {shape} goes beyond the {len(held)} bytes there"
            raise MessageError(text)
        arrays.append(np.ndarray(shape, dtype, held, start))
    return arrays


_layouts: dict[tuple[object, ...], tuple[np.dtype[Any], tuple[int, ...], int]] = {}
"""What was found right before: a stream of pictures says the same of each."""


def make_asked(plan: Any, name: str) -> Any:
    """Return what reads questions and answers of one type, where they are plain; see quick/asked.c.

    None where all goes through Python.
    """
    if quick is None or plan is None:
        return None
    return quick.Asked(plan, msgpack.unpackb, _TIERS, _layouts, name, MAX_ITEMS)


def _layout(
    kind: object, lengths: object, index: int
) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Return dtype, shape and size of an array, checked, and know them from now on.

    Raises:
        MessageError: There is no such array.
    """
    dtype, shape = checked_array([kind, lengths], index)
    if len(_layouts) >= _MOST_LAYOUTS:
        _layouts.clear()
    found = _layouts[kind, *shape] = dtype, shape, math.prod(shape) * dtype.itemsize
    return found


def _empty(dtype: np.dtype[Any], shape: tuple[int, ...]) -> AnyArray:
    made = np.zeros(shape, dtype)
    made.flags.writeable = False
    return made
