"""The one place where OpenCV is imported, when a camera first needs it."""

from __future__ import annotations

import os
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from olympus.drivers.base import Room, fresh
from olympus.runtime.errors import DeviceError

_V4L_TIMEOUT = "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT"


def load_opencv() -> ModuleType:
    """Import OpenCV, set up so that a silent V4L2 device costs 1 s, not its usual 10.

    Raises:
        DeviceError: It is not installed.
    """
    # OpenCV reads it when it opens the device; whole seconds, 1 is the least.
    os.environ.setdefault(_V4L_TIMEOUT, "1")
    try:
        import cv2
    except ImportError as error:
        raise DeviceError(
            f"cameras need OpenCV ({error}); install it with: pip install 'olympus-edge[vision]'"
        ) from error
    module: ModuleType = cv2
    return module


def require_gstreamer(cv2: ModuleType, what: str) -> None:
    """Check that this OpenCV can run GStreamer pipelines.

    Raises:
        DeviceError: It was built without.
    """
    lines = (line.split(":") for line in cv2.getBuildInformation().splitlines())
    if any(line[0].strip() == "GStreamer" and "YES" in line[1] for line in lines if len(line) > 1):
        return
    raise DeviceError(
        f"{what} needs GStreamer, and this OpenCV ({cv2.__version__}) was built without it; use"
        " the system's OpenCV (apt install python3-opencv gstreamer1.0-plugins-good, and a venv"
        " made with --system-site-packages), or a V4L2 device such as /dev/video0"
    )


def to_rgb(cv2: ModuleType, picture: NDArray[np.uint8], room: Room = fresh) -> NDArray[np.uint8]:
    """Turn what OpenCV gives, BGR, BGRA or grey, into a fresh read-only RGB picture.

    Args:
        cv2: The module.
        picture: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) uint8.
        room: Where it is put.

    Returns:
        (H, W, 3) uint8.

    Raises:
        DeviceError: It is nothing of the kind.
    """
    channels = 1 if picture.ndim == 2 else picture.shape[-1]
    codes = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
    if picture.dtype != np.uint8 or picture.size == 0 or channels not in codes:
        raise DeviceError(
            f"the picture has shape {picture.shape} and type {picture.dtype};"
            " only 8-bit grey, BGR and BGRA can be read; choose another pixel format"
        )
    there = room((*picture.shape[:2], 3))
    rgb: NDArray[np.uint8] = cv2.cvtColor(picture, codes[channels], dst=there)
    rgb.flags.writeable = False
    return rgb


def resize(
    cv2: ModuleType, picture: NDArray[np.uint8], width: int | None, height: int | None
) -> NDArray[np.uint8]:
    """Scale a picture to `width` x `height`; where one is None the aspect is kept."""
    rows, columns = picture.shape[:2]
    if width is None and height is None:
        return picture
    to_width = width or max(1, round(columns * (height or rows) / rows))
    to_height = height or max(1, round(rows * (width or columns) / columns))
    if (to_width, to_height) == (columns, rows):
        return picture
    shrinks = to_width * to_height < columns * rows
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    scaled: NDArray[np.uint8] = cv2.resize(picture, (to_width, to_height), interpolation=way)
    return scaled
