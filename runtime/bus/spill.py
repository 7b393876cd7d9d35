"""Where a lossless subscription keeps what is beyond its depth."""

from __future__ import annotations

from typing import Protocol, TypeVar

from olympus.runtime.bus.link import Payload
from olympus.runtime.messages import Message, encode

T = TypeVar("T")


class Spill(Protocol[T]):
    """Where a lossless queue puts what is beyond its depth: first in, first out, on disk."""

    def append(self, item: T) -> None:
        """Keep `item` behind all others.

        Raises:
            StoreError: It can't be kept.
        """

    def popleft(self) -> T:
        """Return the oldest item and forget it.

        Raises:
            StoreError: It can't be read.
        """

    def close(self) -> None:
        """Let go of the disk; again is harmless."""

    def __len__(self) -> int: ...


class Frame:
    """A frame that came back from disk."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def to_bytes(self) -> bytes:
        """Return the frame."""
        return self._data


class FrameSpill:
    """Turns items into frames on their way to disk."""

    def __init__(self, disk: Spill[bytes]) -> None:
        self._disk = disk

    def append(self, item: Message | Payload) -> None:
        """Keep `item` behind all others.

        Raises:
            MessageError: It can't be made into bytes.
            StoreError: It can't be kept.
        """
        self._disk.append(encode(item) if isinstance(item, Message) else item.to_bytes())

    def popleft(self) -> Frame:
        """Return the oldest item and forget it.

        Raises:
            StoreError: It can't be read.
        """
        return Frame(self._disk.popleft())

    def close(self) -> None:
        """Let go of the disk; again is harmless."""
        self._disk.close()

    def __len__(self) -> int:
        return len(self._disk)
