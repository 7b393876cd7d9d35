"""CDR as ROS 2 sends it (XCDR version 1, little endian): message values as bytes and back.

For each type a pair of functions is generated once. Numbers that stand side by side travel through
one `struct`, arrays of numbers are copied as a whole and read as views, so that a picture costs one
copy. Nothing that is read allocates more than a small multiple of the bytes that are really there.

Source: OMG DDS-XTypes 1.3, 7.4.3 "Extended CDR representation", version 1.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.bus.ros2.catalogue import Catalogue
from olympus.runtime.bus.ros2.cdr_source import Writer
from olympus.runtime.bus.ros2.definitions import Definition
from olympus.runtime.bus.ros2.record import Record, record_class
from olympus.runtime.bus.ros2.rihs import type_hash
from olympus.runtime.errors import MessageError

HEADER = b"\x00\x01\x00\x00"
MAX_BYTES = 256 * 2**20
MAX_TRAILING = 64
"""Bytes after the last field that are always let pass. Fast CDR reckons the size of a message with
8 bytes too much for each item that holds empty arrays, so as many as the message itself has are let
pass too; more than that is another type."""
_LENGTH = [struct.Struct(f"<{pad}xI") for pad in range(4)]
_ZEROS = [bytes(n) for n in range(8)]


class Codec:
    """Both directions of one message type."""

    def __init__(self, definition: Definition, cls: type[Record], hash_: str) -> None:
        self.definition, self.cls, self.hash = definition, cls, hash_
        self.put: Callable[[Any, list[Any], int], int]
        """Generated: appends the parts of a value, takes and returns the position."""
        self.take: Callable[[Any, int, int], tuple[Any, int]]
        """Generated: reads a value at a position of a body of a length."""

    @property
    def name(self) -> str:
        """Full name of the type."""
        return self.definition.name

    def encode(self, value: Record) -> bytes:
        """Return a value as CDR, header included.

        Raises:
            MessageError: A field holds what its type does not allow.
        """
        if getattr(value, "__ros_type__", "") != self.name:
            raise MessageError(f"{type(value).__name__} where {self.name} is needed")
        parts: list[Any] = [HEADER]
        try:
            self.put(value, parts, 0)
            return b"".join(parts)
        except (struct.error, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise MessageError(f"{self.name} can't be sent: {error}") from error

    def decode(self, data: bytes) -> Any:
        """Return the value of CDR bytes; its arrays are read-only views into `data`.

        Raises:
            MessageError: The bytes are no such value: cut off, with lengths beyond their end, with
                text that is no UTF-8, or in another representation.
        """
        end = len(data) - 4
        if not 0 <= end <= MAX_BYTES:
            raise MessageError(f"{self.name}: {len(data)} bytes; between 4 and {MAX_BYTES + 4}")
        if data[:2] != HEADER[:2]:
            raise MessageError(
                f"{self.name}: representation {bytes(data[:2]).hex()} is not read here; "
                "ROS 2 sends 0001, little-endian CDR"
            )
        body = memoryview(data)[4:]
        if not body.readonly:
            body = body.toreadonly()
        try:
            value, position = self.take(body, 0, end)
        except struct.error:
            raise MessageError(f"{self.name}: cut off after {len(data)} bytes") from None
        except UnicodeDecodeError as error:
            raise MessageError(f"{self.name}: text that is no UTF-8: {error.reason}") from error
        if end - position > max(MAX_TRAILING, position):
            raise MessageError(f"{self.name}: {end - position} bytes after its last field")
        return value


class Codecs:
    """The codecs of a catalogue, each made when it is first needed."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._made: dict[str, Codec] = {}

    def get(self, name: str) -> Codec:
        """Return the codec of a message, by its full or short name.

        Raises:
            MessageError: It, or a message that it holds, has no definition, or holds a `wstring`.
        """
        known = self._made.get(name)
        if known is None:
            for definition in reversed(self.catalogue.parts(name)):
                self._make(definition)
            known = self._made[name] = self._made[self.catalogue.get(name).name]
        return known

    def new(self, name: str, /, **fields: Any) -> Any:
        """Return a new value of a type: `new("std_msgs/msg/String", data="hello")`."""
        return self.get(name).cls(**fields)

    def _make(self, definition: Definition) -> None:
        if definition.name in self._made:
            return
        for field in definition.fields:
            if not field.type.is_primitive:
                self._make(self.catalogue.get(field.type.base))
        classes = {name: codec.cls for name, codec in self._made.items()}
        cls = record_class(definition, classes)
        codec = Codec(definition, cls, type_hash(self.catalogue, definition.name))
        writer = Writer(definition, self.catalogue.get)
        scope: dict[str, Any] = {
            "LENGTH": _LENGTH,
            "ZEROS": _ZEROS,
            "frombuffer": np.frombuffer,
            "EMPTY": {code: _empty(code) for code in writer.dtypes},
            "numbers": _numbers,
            "beyond": _beyond,
            "text": _text,
            "RUNS": [_aligned_structs(run) for run in writer.runs],
            "classes": {name: made.cls for name, made in self._made.items()} | {codec.name: cls},
            "codecs": self._made,
        }
        exec(writer.source, scope)
        codec.put, codec.take = scope["put"], scope["take"]
        self._made[definition.name] = codec


def _aligned_structs(run: str) -> list[struct.Struct]:
    """Return a run of numbers as one struct for each position modulo 8 at which it may begin."""
    made = []
    for start in range(8):
        at, text = start, "<"
        for code in run:
            size = struct.calcsize("<" + code)
            pad = -at % size
            text += "x" * pad + code
            at += pad + size
        made.append(struct.Struct(text))
    return made


def _empty(code: str) -> NDArray[Any]:
    made = np.empty(0, code)
    made.flags.writeable = False
    return made


def _numbers(value: Any, code: str) -> NDArray[Any]:
    """Return what a field holds as one contiguous array of the type that is sent."""
    if isinstance(value, bytes | bytearray | memoryview):
        value = np.frombuffer(value, "u1")
    if not isinstance(value, np.ndarray):
        value = np.array(value, code)  # refuses what does not fit
    return np.asarray(value.astype(code, copy=False, casting="same_kind"), order="C")


def _beyond(name: str, count: int, most: int) -> MessageError:
    return MessageError(f"{name}: {count} items or bytes claimed, {most} are allowed or there")


def _text(body: memoryview, start: int, end: int, name: str) -> str:
    """Return a string whose last byte, a zero, is at `end - 1`; its end was checked.

    Raises:
        MessageError: The zero is not there.
    """
    if start == end:
        return ""  # not by the book, but some middlewares send an empty string without its zero
    if body[end - 1]:
        raise MessageError(f"{name}: a string without its zero at the end")
    return str(body[start : end - 1], "utf-8")
