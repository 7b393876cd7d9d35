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

_MOST_LAYOUTS = 256


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
    return [_read_array(entry, index, record, tail, bases) for index, entry in enumerate(entries)]


def _read_array(
    entry: Any, index: int, record: bytes | memoryview, tail: int, bases: Sequence[AnyArray]
) -> AnyArray:
    if type(entry) is not list or len(entry) != 4:
        raise MessageError(f"array {index} is not [dtype, shape, place, start]: {entry!r:.60}")
    place, start = entry[2], entry[3]
    dtype, shape, nbytes = _layout(entry, index)
    if type(place) is not int or type(start) is not int or start < 0:
        raise MessageError(f"array {index} has no place: {entry!r:.60}")
    if not -1 <= place < len(bases):
        raise MessageError(f"array {index} lies in slot {place} of {len(bases)}")
    if not nbytes:
        return _empty(dtype, shape)
    if place >= 0:
        if start + nbytes > len(bases[place]):
            raise MessageError(f"array {index} of shape {shape} goes beyond its slot")
        return np.ndarray(shape, dtype, bases[place], start)
    start += tail
    if start + nbytes > len(record):
        raise MessageError(f"array {index} of shape {shape} goes beyond its record")
    return np.ndarray(shape, dtype, record, start)


_layouts: dict[tuple[object, ...], tuple[np.dtype[Any], tuple[int, ...], int]] = {}
"""What was found right before: a stream of pictures says the same of each."""


def _layout(entry: list[Any], index: int) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Return dtype, shape and size of an array, checked."""
    key: tuple[object, ...] = ()
    found = None
    if type(entry[1]) is list:
        key = (entry[0], *entry[1])
        try:
            found = _layouts.get(key)
        except TypeError:  # something in it is no number; the check below says so
            found = None
    if found is None:
        dtype, shape = checked_array(entry[:2], index)
        found = dtype, shape, math.prod(shape) * dtype.itemsize
        if len(_layouts) >= _MOST_LAYOUTS:
            _layouts.clear()
        _layouts[key] = found
    return found


def _empty(dtype: np.dtype[Any], shape: tuple[int, ...]) -> AnyArray:
    made = np.zeros(shape, dtype)
    made.flags.writeable = False
    return made
