"""Messages as bytes and back. No pickle, no code, no surprise.

A frame is `b"OLY1"`, the length of the head (u32, little endian), the head, and then the arrays,
each starting at a multiple of 64 bytes. The head is msgpack: `[name, hash, header, body, arrays]`,
where each array is `[dtype, shape]`. Decoding allocates nothing for arrays: they are views
into the frame that can only be read. For the head it allocates up to 80 bytes per byte, such is
msgpack, so a head is short: what is long travels as an array.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import msgpack
import numpy as np

from olympus.runtime.errors import MessageError
from olympus.runtime.messages.base import Message, schema_by_class, schema_by_name
from olympus.runtime.messages.schema import MAX_ITEMS, AnyArray, Schema

MAGIC = b"OLY1"
ALIGN = 64
MAX_FRAME = 256 * 2**20
MAX_HEAD = 2**20
_PREFIX = struct.Struct("<4sI")
_KINDS = ("u1", "i1", "b1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")
_DTYPES = frozenset(f"{order}{kind}" for order in "<|" for kind in _KINDS)


def encode(message: Message) -> bytes:
    """Turn a message into a frame.

    Raises:
        MessageError: A field holds what its type does not allow, or more than a frame may hold.
    """
    schema = schema_by_class(type(message))
    arrays: list[AnyArray] = []
    whole = schema.kind.pack(message, arrays)
    contiguous = [np.asarray(array, order="C") for array in arrays]
    shapes = [[array.dtype.str, list(array.shape)] for array in contiguous]
    head = _packed_head(schema.name, [schema.hash, whole[0], whole[1:], shapes])
    parts: list[bytes | memoryview] = [_PREFIX.pack(MAGIC, len(head)), head]
    position = _PREFIX.size + len(head)
    for array in contiguous:
        start = _aligned(position)
        parts += [bytes(start - position), array.data]
        position = start + array.nbytes
    return b"".join(parts)


def decode(frame: bytes | bytearray | memoryview) -> Message:
    """Turn a frame into a message; its arrays are read-only views into `frame`.

    Args:
        frame: What `encode` made; anything else is refused.

    Returns:
        The message.

    Raises:
        MessageError: The bytes are no valid message, of an unknown type, or of another version of
            that type.
    """
    view = memoryview(frame)
    name, digest, header, body, shapes = _read_head(view)
    schema = schema_by_name(name)
    if digest != schema.hash:
        raise MessageError(
            f"{name} has another layout at the sender ({digest.hex()}, here {schema.hash.hex()}); "
            "run the same version on both sides"
        )
    arrays = _read_arrays(view, shapes, _PREFIX.size + _PREFIX.unpack_from(view)[1])
    return _build(schema, [header, *body], arrays)


def _packed_head(name: str, rest: list[Any]) -> bytes:
    try:
        head: bytes = msgpack.packb([name, *rest])
    except UnicodeEncodeError as error:
        raise MessageError(f"{name}: a text that is no Unicode: {error}") from error
    if len(head) > MAX_HEAD:
        raise MessageError(
            f"{name}: {len(head)} bytes besides its arrays, at most {MAX_HEAD}; "
            "put what is long into an array"
        )
    return head


def _aligned(position: int) -> int:
    return -(-position // ALIGN) * ALIGN


def _read_head(view: memoryview) -> tuple[str, bytes, Any, list[Any], list[Any]]:
    if len(view) < _PREFIX.size or len(view) > MAX_FRAME:
        raise MessageError(f"a frame of {len(view)} bytes; between {_PREFIX.size} and {MAX_FRAME}")
    magic, length = _PREFIX.unpack_from(view)
    if magic != MAGIC:
        raise MessageError(f"a frame starts with {MAGIC!r}, not {magic!r}")
    if length > min(MAX_HEAD, len(view) - _PREFIX.size):
        raise MessageError(f"a head of {length} bytes in a frame of {len(view)}")
    try:
        head = msgpack.unpackb(
            view[_PREFIX.size : _PREFIX.size + length],
            strict_map_key=True,
            max_array_len=MAX_ITEMS,
            max_map_len=MAX_ITEMS,
        )
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise MessageError(f"the head is no msgpack: {error}") from error
    return _checked_head(head)


def _checked_head(head: object) -> tuple[str, bytes, Any, list[Any], list[Any]]:
    match head:
        case [str(name), bytes(digest), list(header), list(body), list(arrays)]:
            return name, digest, header, body, arrays
        case _:
            raise MessageError("the head is not [name, hash, header, body, arrays]")


def _read_arrays(view: memoryview, shapes: list[Any], position: int) -> list[AnyArray]:
    arrays: list[AnyArray] = []
    for index, entry in enumerate(shapes):
        dtype, shape = _checked_array(entry, index)
        start = _aligned(position)
        position = start + math.prod(shape) * dtype.itemsize
        if position > len(view):
            raise MessageError(f"array {index} of shape {shape} goes beyond the frame")
        array = np.frombuffer(view[start:position], dtype=dtype).reshape(shape)
        array.flags.writeable = False
        arrays.append(array)
    if position != len(view):
        raise MessageError(f"{len(view) - position} bytes after the last array")
    return arrays


def _checked_array(entry: object, index: int) -> tuple[np.dtype[Any], tuple[int, ...]]:
    match entry:
        case [str(dtype), list(shape)] if dtype in _DTYPES and len(shape) <= 8:
            # Axes of length 0 don't excuse the others: numpy refuses such shapes too.
            is_whole = all(type(n) is int and n >= 0 for n in shape)
            if is_whole and math.prod(n or 1 for n in shape) <= MAX_FRAME:
                return np.dtype(dtype), tuple(shape)
    raise MessageError(f"array {index} is not [dtype, shape]: {entry!r:.60}")


def _build(schema: Schema, fields: list[Any], arrays: list[AnyArray]) -> Message:
    made = schema.kind.unpack(fields, arrays, schema.name)
    if not isinstance(made, Message):
        raise MessageError(f"{schema.name} is no message")
    return made
