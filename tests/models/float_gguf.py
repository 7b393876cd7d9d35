"""Makes a float GGUF file of a Q8_0 one, for tests that need something to quantize."""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np

from olympus.models.gguf_file import FLOATS, look_into

Q8_0, BLOCK = 8, 32
ALIGNMENT = 32


def as_float(data: bytes) -> bytes:
    """Return the same file with all its Q8_0 tensors as float32."""
    file = look_into(Path("source"), data)
    head, body = bytearray(data[: file.facts_end]), bytearray()
    for one in file.tensors:
        n = math.prod(one.shape)
        if one.is_float:
            kind, raw = one.kind, data[one.start : one.start + n * FLOATS[one.kind]]
        else:
            assert one.kind == Q8_0
            block = np.dtype([("scale", "<f2"), ("values", "i1", BLOCK)])
            blocks = np.frombuffer(data, block, n // BLOCK, one.start)
            values = blocks["values"].astype("<f4") * blocks["scale"].astype("<f4")[:, None]
            kind, raw = 0, values.tobytes()
        name = one.name.encode()
        head += struct.pack("<Q", len(name)) + name + struct.pack("<I", len(one.shape))
        head += struct.pack(f"<{len(one.shape)}QIQ", *one.shape, kind, len(body))
        body += raw + bytes(-len(raw) % ALIGNMENT)
    return bytes(head + bytes(-len(head) % ALIGNMENT) + body)
