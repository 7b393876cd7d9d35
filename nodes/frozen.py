"""Notices a camera that goes on delivering, but always the same picture."""

from __future__ import annotations

import numpy as np

from olympus.drivers.base import Frame
from olympus.runtime.clock import NS_PER_S

COARSE = 8
"""Every so many rows and columns are compared first: new pictures differ there already."""


class Repetition:
    """How long the newest picture has been the same, to the bit."""

    def __init__(self) -> None:
        self.lasted_s = 0.0
        """From the first to the newest of equal pictures, by their stamps, s; 0 for a new one."""
        self._first: Frame | None = None

    def add(self, frame: Frame) -> float:
        """Take in the next picture and return `lasted_s`."""
        first = self._first
        if first is None or not _are_equal(first, frame):
            self._first, self.lasted_s = frame, 0.0
        else:
            self.lasted_s = (frame.stamp_ns - first.stamp_ns) / NS_PER_S
        return self.lasted_s


def _are_equal(one: Frame, other: Frame) -> bool:
    a, b = one.rgb, other.rgb
    coarse = np.s_[::COARSE, ::COARSE]
    return np.array_equal(a[coarse], b[coarse]) and np.array_equal(a, b)
