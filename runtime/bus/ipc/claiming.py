"""The slots of a record, claimed: they are given back whatever becomes of it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.bus.ipc.records import HEAD
from olympus.runtime.errors import MessageError

if TYPE_CHECKING:
    from olympus.runtime.bus.ipc.pair import Pair

_SLOT = struct.Struct("<Q")


def claim(
    pair: Pair, record: bytes | memoryview, count: int, readers: int
) -> Sequence[NDArray[np.uint8]]:
    """Return the bytes of a record's slots, in their order.

    Args:
        pair: Whose record it is.
        record: The whole record.
        count: How many slots it says it has.
        readers: How many hosts share a pool.

    Raises:
        MessageError: It has fewer, or they are none.
    """
    try:
        slots = (
            _SLOT.unpack_from(record, HEAD.size)
            if count == 1
            else struct.unpack_from(f"<{count}Q", record, HEAD.size)
        )
        pools = pair.pools
        if count == 1 and (pool := pools.get(slots[0] >> 32)) is not None:
            return (pool.view(slots[0], readers),)
        for slot in slots:
            if slot >> 32 not in pools:
                pair.read_talk(in_between=True)
        return [pools[slot >> 32].view(slot, readers) for slot in slots]
    except (struct.error, KeyError) as error:
        raise MessageError(repr(error)) from error
