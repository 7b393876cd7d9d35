"""A node that tells where in memory the pictures lie that it is given, for test_in_place.py."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.messages import Array, Empty, Image, Message, message
from olympus.runtime.node import Node, service, subscribe
from olympus.runtime.qos import QoS

KEPT = 40


@message("in_place/Places")
class Places(Message):
    """Where pictures lie."""

    rows: Annotated[NDArray[np.int64], Array("i8", (None, 3))]
    """Number of the picture, inode of the memory file, offset in it; -1 where it lies in none."""
    names: tuple[str, ...]
    """Of the memory file of each, empty where it lies in none."""


class Looking(Node):
    """Notes where each picture lies."""

    async def on_configure(self) -> None:
        """Begin with nothing."""
        self._seen: list[tuple[str, int, int, int]] = []

    @subscribe("camera/image", qos=QoS.queue(8))
    def on_image(self, image: Image) -> None:
        """Note where this one lies."""
        name, inode, offset = place_of(image.data)
        self._seen = [*self._seen, (name, image.header.seq, inode, offset)][-KEPT:]

    @service("places")
    def places(self, _request: Empty) -> Places:
        """Return the newest."""
        rows = np.array([row for _, *row in self._seen], np.int64).reshape(-1, 3)
        return Places(rows=rows, names=tuple(name for name, *_ in self._seen))


def place_of(picture: NDArray[np.uint8]) -> tuple[str, int, int]:
    """Return name and inode of the mapped file in which an array lies, and where; see proc(5)."""
    address = picture.ctypes.data
    for line in Path("/proc/self/maps").read_text().splitlines():
        span, _, start, _, inode, *name = line.split(maxsplit=5)
        low, high = (int(part, 16) for part in span.split("-"))
        if low <= address and address + picture.nbytes <= high and int(inode):
            return "".join(name), int(inode), int(start, 16) + address - low
    return "", -1, -1
