"""Asks a V4L2 device what it is, without OpenCV and without starting it."""

from __future__ import annotations

import fcntl
import os
import struct
from dataclasses import dataclass
from pathlib import Path

# Source: Linux uapi header videodev2.h, struct v4l2_capability and VIDIOC_QUERYCAP.
CAPABILITY = struct.Struct("=16s32s32s6I")
QUERYCAP = 0x80685600
CAPTURE = 0x00000001 | 0x00001000  # single- and multi-planar capture
HAS_DEVICE_CAPS = 0x80000000


@dataclass(frozen=True, slots=True)
class Capability:
    """What a V4L2 device says about itself."""

    driver: str
    """The kernel driver, `uvcvideo`."""
    card: str
    """The name its maker gave it."""
    bus: str
    """Where it is plugged in; stable as long as nobody moves the cable."""
    captures: bool
    """Whether it gives pictures; metadata and output devices don't."""


def parse(buffer: bytes) -> Capability:
    """Read the kernel's answer to VIDIOC_QUERYCAP.

    Args:
        buffer: The 104 bytes of struct v4l2_capability.
    """
    driver, card, bus, _version, capabilities, device_caps, *_ = CAPABILITY.unpack(buffer)
    own = device_caps if capabilities & HAS_DEVICE_CAPS else capabilities
    words = [text.split(b"\0")[0].decode(errors="replace") for text in (driver, card, bus)]
    return Capability(words[0], words[1], words[2], captures=bool(own & CAPTURE))


def query(device: Path) -> Capability:
    """Ask a device; opening it neither starts it nor disturbs who uses it.

    Args:
        device: `/dev/videoN`.

    Returns:
        What it says about itself.

    Raises:
        OSError: It can't be opened or is no V4L2 device.
    """
    buffer = bytearray(CAPABILITY.size)
    descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, QUERYCAP, buffer)
    finally:
        os.close(descriptor)
    return parse(bytes(buffer))
