"""Pictures as JPEG files, for the way to other machines, and back."""

from __future__ import annotations

import struct
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.errors import BusError, MessageError
from olympus.runtime.messages import CompressedImage, Image

QUALITY = 80
_LOOK = 2**20
"""The size stands near the beginning; a file that hides it further behind is refused."""
_PNG = b"\x89PNG\r\n\x1a\n"
_NO_FRAMES = frozenset({0xC4, 0xC8, 0xCC})
"""Between the markers of a JPEG that begin a frame."""
MAX_PIXELS = 64 * 2**20
"""A file of a few kilobytes can claim to be larger than memory; a sensor's picture never is."""


def load_opencv() -> ModuleType:
    """Import OpenCV.

    Raises:
        BusError: It is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        raise BusError(
            f"JPEG needs OpenCV ({error}); install it with: pip install 'olympus-edge[vision]'"
        ) from error
    module: ModuleType = cv2
    return module


def jpeg(
    rgb: NDArray[np.uint8],
    encoding: str = "rgb8",
    *,
    quality: int = QUALITY,
    longest_px: int | None = None,
) -> bytes:
    """Return a picture as a JPEG file.

    Args:
        rgb: (H, W, 3) uint8, 0..255.
        encoding: Meaning of the channels, `rgb8` or `bgr8`.
        quality: 1..100.
        longest_px: A picture with a longer side is shrunk to this, its aspect kept; None for any.

    Raises:
        BusError: OpenCV is not installed.
        MessageError: The picture can't be encoded, such as an empty one.
    """
    if not rgb.size:
        raise MessageError(f"a picture of shape {rgb.shape} has no pixels to show")
    cv2 = load_opencv()
    height, width = rgb.shape[:2]
    shown = np.asarray(rgb)
    if longest_px is not None and (longest := max(width, height)) > longest_px:
        scale = longest_px / longest
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        shown = np.asarray(cv2.resize(shown, size, interpolation=cv2.INTER_AREA), np.uint8)
    if encoding == "rgb8":
        shown = np.ascontiguousarray(shown[..., ::-1])
    try:
        done, buffer = cv2.imencode(".jpg", shown, [cv2.IMWRITE_JPEG_QUALITY, quality])
    except cv2.error as error:  # a side beyond the 65535 of the format
        raise MessageError(f"a picture of shape {rgb.shape} can't become a JPEG") from error
    if not done:
        raise MessageError(f"a picture of shape {rgb.shape} can't become a JPEG")
    raw: bytes = buffer.tobytes()
    return raw


def compressed(image: Image, *, quality: int, longest_px: int | None) -> CompressedImage:
    """Return a picture as it goes to other machines; its header is the same.

    Args:
        image: The picture.
        quality: Of the JPEG, 1..100.
        longest_px: Its longest side; None for that of the picture.

    Raises:
        BusError: OpenCV is not installed.
        MessageError: The picture can't be encoded.
    """
    raw = jpeg(image.data, image.encoding, quality=quality, longest_px=longest_px)
    data = np.frombuffer(raw, np.uint8)
    return CompressedImage(header=image.header, data=data, format="jpeg", frame_id=image.frame_id)


def expanded(picture: CompressedImage) -> Image:
    """Return the picture that came as a file: what a subscriber to pictures gets.

    Raises:
        MessageError: It can't be read, or is too large, or OpenCV is not installed.
    """
    try:
        cv2 = load_opencv()
    except BusError as error:
        raise MessageError(str(error)) from error
    if picture.format not in ("jpeg", "png"):
        raise MessageError(f"a picture of format {picture.format!r:.40}; jpeg or png is read")
    raw = np.asarray(picture.data)
    if not 0 < (pixels := claimed_pixels(raw.tobytes()[:_LOOK])) <= MAX_PIXELS:
        raise MessageError(f"a picture that claims {pixels} pixels; 1 to {MAX_PIXELS} are read")
    try:
        found = cv2.imdecode(raw, cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise MessageError(f"the {picture.format} can't be read: {error}") from error
    if found is None:
        raise MessageError(f"{raw.size} bytes that are no {picture.format}")
    data = np.asarray(found, np.uint8)
    data.flags.writeable = False
    return Image(header=picture.header, data=data, encoding="rgb8", frame_id=picture.frame_id)


def claimed_pixels(raw: bytes) -> int:
    """Return how many pixels a JPEG or PNG says it has; 0 if it doesn't say.

    Source: ITU-T T.81, annex B (frame headers SOF0 to SOF15); PNG specification, IHDR.
    """
    if raw.startswith(_PNG) and len(raw) >= 24:
        width, height = struct.unpack_from(">II", raw, 16)
        return int(width) * int(height)
    at = 2 if raw.startswith(b"\xff\xd8") else len(raw)
    while at + 9 <= len(raw) and raw[at] == 0xFF:
        marker = raw[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if 0xC0 <= marker <= 0xCF and marker not in _NO_FRAMES:
            height, width = struct.unpack_from(">HH", raw, at + 5)
            return int(width) * int(height)
        at += 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
    return 0
