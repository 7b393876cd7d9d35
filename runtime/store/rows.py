"""Small rows of a store: JSON behind a checksum over key and text."""

from __future__ import annotations

import json
import zlib
from typing import Any

from olympus.runtime.errors import DamageError

_CRC_BYTES = 4


def pack_row(key: bytes, row: Any) -> bytes:
    """Turn a JSON value into what is stored under `key`."""
    text = json.dumps(row, separators=(",", ":"), allow_nan=False).encode()
    return zlib.crc32(text, zlib.crc32(key)).to_bytes(_CRC_BYTES, "little") + text


def unpack_row(key: bytes, value: bytes) -> Any:
    """Return the JSON value that was stored under `key`.

    Raises:
        DamageError: It is not what was stored there.
    """
    text = value[_CRC_BYTES:]
    if int.from_bytes(value[:_CRC_BYTES], "little") != zlib.crc32(text, zlib.crc32(key)):
        raise DamageError(f"the row {key!r:.60} of the store is damaged: its checksum is wrong")
    return json.loads(text)
