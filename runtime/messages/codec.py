"""Messages as bytes and back. No pickle, no code, no surprise.

A frame is `b"OLY1"`, the length of the head (u32, little endian), the head, and then the arrays,
each starting at a multiple of 64 bytes. The head is msgpack: `[name, version, hash, header, body,
arrays]`, where each array is `[dtype, shape]`. Decoding allocates nothing for arrays: they are
views into the frame that can only be read. For the head it allocates up to 80 bytes per byte, such
is msgpack, so a head is short: what is long travels as an array.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgpack
import numpy as np

from olympus.runtime.errors import MessageError, SchemaError
from olympus.runtime.messages.base import (
    Header,
    Message,
    Opaque,
    schema_by_class,
    schema_by_name,
)
from olympus.runtime.messages.schema import MAX_ITEMS, AnyArray, Kind, Schema, record_kind

MAGIC = b"OLY1"
ALIGN = 64
MAX_FRAME = 256 * 2**20
MAX_HEAD = 2**20
_PREFIX = struct.Struct("<4sI")
_KINDS = ("u1", "i1", "b1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")
_DTYPES = {name: np.dtype(name) for name in (f"{o}{kind}" for o in "<|" for kind in _KINDS)}


@dataclass(frozen=True, slots=True)
class _Head:
    """What a frame says about itself."""

    name: str
    version: int
    digest: bytes
    header: list[Any]
    body: list[Any]
    arrays: list[Any]


def encode(message: Message) -> bytes:
    """Turn a message into a frame.

    Raises:
        MessageError: A field holds what its type does not allow, or more than a frame may hold.
    """
    if type(message) is Opaque:
        return message.frame
    schema = schema_by_class(type(message))
    arrays: list[AnyArray] = []
    whole = schema.kind.pack(message, arrays)
    return _framed((schema.name, schema.version, schema.hash), whole[0], whole[1:], arrays)


def frame_of(
    kind: tuple[str, int, bytes], header: Header, body: list[Any], arrays: list[AnyArray]
) -> bytes:
    """Return the frame of a message whose type may be unknown here.

    Args:
        kind: Name, version and hash of the type.
        header: Of the message.
        body: Its other fields as msgpack values.
        arrays: What they mean by a number.

    Raises:
        MessageError: The fields are no msgpack values, or more than a frame may hold.
    """
    packed = _header_kind().pack(header, [])
    try:
        return _framed(kind, packed, body, arrays)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise MessageError(f"{kind[0][:80]}: {error}") from error


def opaque(frame: bytes) -> Opaque:
    """Return a message as it came, without a look at its fields.

    Raises:
        MessageError: The bytes are no frame.
    """
    name, header = read_header(frame)
    return Opaque(header=header, type=name, frame=frame)


def _framed(
    kind: tuple[str, int, bytes], header: list[Any], body: list[Any], arrays: list[AnyArray]
) -> bytes:
    contiguous = [np.asarray(array, order="C") for array in arrays]
    shapes = [[array.dtype.str, list(array.shape)] for array in contiguous]
    head = _packed_head(kind[0], [kind[1], kind[2], header, body, shapes])
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
        MessageError: The bytes are no valid message.
        SchemaError: They are of an unknown type, or of another version of one.
    """
    view = memoryview(frame)
    head = _read_head(view)
    schema = schema_for(head.name, head.version, head.digest)
    arrays = _read_arrays(view, head.arrays, _PREFIX.size + _PREFIX.unpack_from(view)[1])
    return _build(schema, [head.header, *head.body], arrays)


def schema_for(name: str, version: int, digest: bytes) -> Schema:
    """Return the schema that somebody else means.

    Args:
        name: As the type travels.
        version: Of the type at the sender.
        digest: Hash of its layout there.

    Raises:
        SchemaError: The type is unknown here, or another version of it is known.
    """
    schema = schema_by_name(name)
    if digest != schema.hash or version != schema.version:
        raise SchemaError(_difference(version, digest, schema))
    return schema


def read_header(frame: bytes | bytearray | memoryview) -> tuple[str, Header]:
    """Return the type's name and the header of a frame; the rest of it is not looked at.

    Raises:
        MessageError: The bytes are no frame.
    """
    head = _read_head(memoryview(frame))
    header = _header_kind().unpack(head.header, [], head.name[:80])
    if not isinstance(header, Header):
        raise MessageError(f"{head.name[:80]} has no header")
    return head.name, header


@cache
def _header_kind() -> Kind:
    return record_kind(Header)


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


def _difference(theirs: int, digest: bytes, schema: Schema) -> str:
    """Say which side is the newer one."""
    name, ours = schema.name, schema.version
    if theirs == ours:
        return (
            f"{name} has another layout at the sender under the same version {ours} "
            f"({digest.hex()[:16]}, here {schema.hash.hex()}); run the same release on both "
            "sides, and raise a type's version whenever its fields change"
        )
    newer, older = ("the sender", "this side") if theirs > ours else ("this side", "the sender")
    return (
        f"{name} is of version {theirs} at the sender and {ours} here: {newer} is newer; "
        f"update {older}"
    )


def _read_head(view: memoryview) -> _Head:
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


def _checked_head(head: object) -> _Head:
    match head:
        case [str(n), int(v), bytes(h), list(header), list(body), list(arrays)] if v is not True:
            return _Head(n, v, h, header, body, arrays)
        case _:
            raise MessageError("the head is not [name, version, hash, header, body, arrays]")


def _read_arrays(view: memoryview, shapes: list[Any], position: int) -> list[AnyArray]:
    arrays: list[AnyArray] = []
    for index, entry in enumerate(shapes):
        dtype, shape = checked_array(entry, index)
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


def checked_array(entry: object, index: int) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Return dtype and shape of an array's `[dtype, shape]`.

    Raises:
        MessageError: It is no such pair, or means more than a frame may hold.
    """
    if type(entry) is list and len(entry) == 2 and type(entry[1]) is list:
        dtype, shape = _DTYPES.get(entry[0]) if type(entry[0]) is str else None, entry[1]
        if dtype is not None and len(shape) <= 8:
            # Axes of length 0 don't excuse the others: numpy refuses such shapes too.
            size = 1
            for length in shape:
                is_length = type(length) is int and length >= 0
                size = size * (length or 1) if is_length else MAX_FRAME + 1
            if size <= MAX_FRAME:
                return dtype, tuple(shape)
    raise MessageError(f"array {index} is not [dtype, shape]: {entry!r:.60}")


def _build(schema: Schema, fields: list[Any], arrays: list[AnyArray]) -> Message:
    made = schema.kind.unpack(fields, arrays, schema.name)
    if not isinstance(made, Message):
        raise MessageError(f"{schema.name} is no message")
    return made
