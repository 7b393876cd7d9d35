"""Fits a camera's picture into the one a model takes, and maps what was found back."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from olympus.runtime.messages import Detection

GREY = 114
"""Level of the borders."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Where a frame lies in the model's picture, as shares of that picture's width and height."""

    left: float = 0.0
    top: float = 0.0
    width: float = 1.0
    height: float = 1.0

    def to_frame(self, found: Detection) -> Detection | None:
        """Map a box of the model's picture to the frame; None if it lies in the border."""
        x0 = _clip((found.x - self.left) / self.width)
        y0 = _clip((found.y - self.top) / self.height)
        x1 = _clip((found.x + found.w - self.left) / self.width)
        y1 = _clip((found.y + found.h - self.top) / self.height)
        if x1 <= x0 or y1 <= y0:
            return None
        return replace(found, x=x0, y=y0, w=x1 - x0, h=y1 - y0)


def fit(frame: NDArray[np.uint8], height: int, width: int) -> tuple[NDArray[np.uint8], Fit]:
    """Shrink or enlarge a frame to fit, keep its aspect, fill the rest with grey.

    Args:
        frame: (H, W, 3) uint8.
        height: Of the model's picture, px.
        width: Of the model's picture, px.

    Returns:
        (height, width, 3) uint8, the frame itself where it already has that size; and where the
        frame lies in it.
    """
    if frame.shape[:2] == (height, width):
        return frame, Fit()
    scale = min(height / frame.shape[0], width / frame.shape[1])
    high = max(1, min(height, round(frame.shape[0] * scale)))
    wide = max(1, min(width, round(frame.shape[1] * scale)))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    top, left = (height - high) // 2, (width - wide) // 2
    picture = np.full((height, width, 3), GREY, np.uint8)
    picture[top : top + high, left : left + wide] = cv2.resize(
        frame, (wide, high), interpolation=how
    )
    return picture, Fit(left / width, top / height, wide / width, high / height)


def _clip(share: float) -> float:
    return min(1.0, max(0.0, share))
