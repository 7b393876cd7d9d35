"""The live picture: each frame waits a moment for its detections, then goes out as a JPEG."""

from __future__ import annotations

import asyncio
import json
import struct
from collections import OrderedDict
from collections.abc import Callable

from olympus.nodes.viewer.streams import Json, finite, ms
from olympus.runtime.messages import Detections, Image

FRAMES_HELD = 8
CLOCK_SET_NS = 2_000_000_000
"""A stamp that is so much older than the one before is no latecomer: its clock was set back."""


class Pairing:
    """Brings frames and what was detected in them together by their stamps.

    A frame is shown when its detections are there, or when it has waited `patience_s`; frames
    never go back in time, unless the camera's clock was set back. What was detected in another
    camera's frames, as their trace says, is not shown in these.
    """

    def __init__(
        self, show: Callable[[Image, Detections | None], None], patience_s: float = 0.12
    ) -> None:
        """Call `show` for each frame that is to be shown."""
        self._show = show
        self._patience_s = patience_s
        self._held: OrderedDict[int, Image] = OrderedDict()
        self._newest: Detections | None = None
        self._shown_ns = 0
        self._topic = ""
        """Of the frames; empty where they don't say."""

    def on_image(self, image: Image) -> None:
        """Take in a frame; from the event loop's thread."""
        stamp, trace = image.header.stamp, image.header.trace
        topic = trace[-1].topic if trace else ""
        if topic != self._topic:
            self._topic, self._newest = topic, None
        self._held[stamp] = image
        while len(self._held) > FRAMES_HELD:
            self._release(next(iter(self._held)))
        if self._newest is not None and self._newest.header.stamp == stamp:
            self._release(stamp)
        else:
            asyncio.get_running_loop().call_later(self._patience_s, self._release, stamp)

    def on_detections(self, detections: Detections) -> None:
        """Take in what was detected in one frame."""
        past = detections.header.trace[:-1]  # empty: it came from outside, and may belong here
        if past and self._topic and all(hop.topic != self._topic for hop in past):
            return
        self._newest = detections
        self._release(detections.header.stamp)

    def forget(self) -> None:
        """Show nothing of what waits."""
        self._held.clear()

    def _release(self, stamp: int) -> None:
        image = self._held.pop(stamp, None)
        if image is None or -CLOCK_SET_NS < stamp - self._shown_ns <= 0:
            return
        self._shown_ns = stamp
        self._show(image, self._newest)


def framed(head: dict[str, Json], body: bytes) -> bytes:
    """Return one binary message: length of the head (u32, little-endian), head as JSON, body."""
    text = json.dumps(head, allow_nan=False).encode()
    return struct.pack("<I", len(text)) + text + body


def picture_head(image: Image, found: Detections | None, *, now_ns: int) -> dict[str, Json]:
    """Say what a picture is, when it was taken, and what was found in it.

    Boxes of another frame come along with their own stamp, so that the page can tell.
    """
    height, width = image.data.shape[:2]
    return {
        "kind": "picture",
        "seq": image.header.seq,
        "stamp": ms(image.header.stamp),
        "now": ms(now_ns),
        "width": width,
        "height": height,
        "source": image.header.source,
        "boxes": boxes(found),
        "boxes_stamp": ms(found.header.stamp) if found else None,
        "model": found.model if found else "",
    }


def boxes(found: Detections | None) -> list[Json]:
    """Return detections as the page draws them: label, confidence, x, y, w, h (0..1)."""
    items = found.items if found else ()
    return [
        [d.label, finite(d.confidence, 3), finite(d.x), finite(d.y), finite(d.w), finite(d.h)]
        for d in items
    ]
