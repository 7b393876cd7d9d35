"""What is kept when room runs out: a pure function of the class of a topic and how full it is.

Sensor streams thin out first, then states; what belongs to safety has a reserve that nothing else
may touch. Nothing is left out unseen: what is not stored becomes a gap with its reason.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

from olympus.runtime.bus.topics import matches
from olympus.runtime.errors import StoreFullError

BALLAST = "reserve.bin"


class TopicClass(StrEnum):
    """How much a topic is worth when room runs out."""

    SAFETY = "safety"
    STATE = "state"
    SENSOR = "sensor"


PATTERNS: Mapping[str, Sequence[str]] = {
    TopicClass.SAFETY: (
        "safety/**",
        "**/actuation",
        "**/command",
        "**/said",
        "**/mission",
        "audit/**",
    ),
    TopicClass.SENSOR: ("**/image", "**/audio", "**/ranges", "**/imu", "**/depth", "**/points"),
}
"""Which topics are of which class; all others are states."""
_KEPT: Mapping[TopicClass, Sequence[tuple[float, int]]] = {
    TopicClass.SENSOR: ((0.80, 1), (0.90, 2), (0.97, 8)),
    TopicClass.STATE: ((0.97, 1), (1.0, 4)),
}
"""Up to which share of room every how many-th message is kept; beyond the last none is."""


def class_of(topic: str, patterns: Mapping[str, Sequence[str]] = PATTERNS) -> TopicClass:
    """Return the class of a topic; safety wins over sensor."""
    for found in (TopicClass.SAFETY, TopicClass.SENSOR):
        if any(matches(pattern, topic) for pattern in patterns.get(found, ())):
            return found
    return TopicClass.STATE


def keep_every(cls: TopicClass, fill: float) -> int:
    """Say every how many-th message of a class is kept.

    Args:
        cls: Class of the topic.
        fill: Share of the room in use, 0..1 and beyond.

    Returns:
        1 = all, 0 = none.
    """
    if cls is TopicClass.SAFETY:
        return 1
    return next((every for share, every in _KEPT[cls] if fill < share), 0)


def fill_of(used_bytes: int, max_bytes: int, *, spare_bytes: int, tight_bytes: int) -> float:
    """Return how full it is: the store, or the disk that it lies on, whichever is fuller.

    Args:
        used_bytes: Of the store.
        max_bytes: What it may use, the reserve apart.
        spare_bytes: What the disk has left beyond the reserve.
        tight_bytes: Where the disk begins to be full.
    """
    disk = 1.0 - spare_bytes / max(tight_bytes, 1)
    return max(used_bytes / max(max_bytes, 1), disk)


def free_bytes(folder: Path) -> int:
    """Return what the disk of a folder has left, bytes."""
    return shutil.disk_usage(folder).free


class Ballast:
    """A file that takes up the reserve, to be given back when safety records need the room."""

    def __init__(self, folder: Path, size: int, *, name: str = BALLAST) -> None:
        self.file, self._size = folder / name, size

    @property
    def is_there(self) -> bool:
        """Whether the reserve is set aside."""
        return self._size == 0 or (self.file.exists() and self.file.stat().st_size == self._size)

    def set_aside(self) -> None:
        """Take up the room, if it is not taken up already.

        Raises:
            StoreFullError: The disk has less left than that.
        """
        if self.is_there:
            return
        descriptor = os.open(self.file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.posix_fallocate(descriptor, 0, self._size)
        except OSError as error:
            self.file.unlink(missing_ok=True)
            raise StoreFullError(
                f"no {self._size} bytes are left beside {self.file.parent} for safety records: "
                f"{error}; free some of the disk"
            ) from error
        finally:
            os.close(descriptor)

    def give_back(self) -> bool:
        """Make the room free; returns whether there was any."""
        had = self.file.exists()
        self.file.unlink(missing_ok=True)
        return had
