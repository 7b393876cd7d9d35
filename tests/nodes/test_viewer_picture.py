from __future__ import annotations

import asyncio
import json
import struct
from dataclasses import replace

import numpy as np

from olympus.nodes.viewer.picture import FRAMES_HELD, Pairing, boxes, framed, picture_head
from olympus.runtime.messages import (
    Detection,
    Detections,
    Header,
    Hop,
    Image,
)

SECOND = 1_000_000_000


def traced(stamp: int, *topics: str) -> Header:
    return Header(stamp=stamp, trace=tuple(Hop(topic, 1, stamp, stamp) for topic in topics))


def image(stamp: int, side: int = 8) -> Image:
    return Image(header=Header(stamp=stamp), data=np.full((side, side, 3), 90, np.uint8))


def detections(stamp: int) -> Detections:
    item = Detection(label="person", confidence=0.9, x=0.1, y=0.2, w=0.3, h=0.4)
    return Detections(header=Header(stamp=stamp), items=(item,))


async def test_a_frame_goes_out_with_its_own_detections() -> None:
    shown: list[tuple[int, int]] = []
    pairing = Pairing(lambda i, d: shown.append((i.header.stamp, d.header.stamp if d else 0)))
    pairing.on_image(image(1))
    assert shown == []
    pairing.on_detections(detections(1))
    pairing.on_detections(detections(2))
    pairing.on_image(image(2))
    assert shown == [(1, 1), (2, 2)]


async def test_what_was_seen_by_another_camera_is_not_drawn_into_this_ones_frames() -> None:
    shown: list[tuple[int, int]] = []
    pairing = Pairing(
        lambda i, d: shown.append((i.header.stamp, d.header.stamp if d else 0)), patience_s=5
    )

    def picture(topic: str, stamp: int) -> None:
        pairing.on_image(replace(image(stamp), header=traced(stamp, topic)))

    def seen(topic: str, stamp: int) -> None:
        header = traced(stamp, topic, "rover/detections")
        pairing.on_detections(replace(detections(stamp), header=header))

    picture("rear/image", 1)
    seen("rover/camera/image", 1)
    assert shown == []
    seen("rear/image", 1)
    picture("rear/image", 2)
    seen("rover/camera/image", 2)
    pairing.on_detections(detections(2))  # of an outside client, which says no more than its time
    assert shown == [(1, 1), (2, 2)]
    picture("rover/camera/image", 3)  # another one is chosen: nothing is left of the one before
    for stamp in range(4, 4 + FRAMES_HELD):
        picture("rover/camera/image", stamp)
    assert shown[2:] == [(3, 0)]


async def test_a_frame_nobody_looks_at_goes_out_alone_after_a_moment() -> None:
    shown: asyncio.Queue[int] = asyncio.Queue()
    pairing = Pairing(lambda i, _: shown.put_nowait(i.header.stamp), patience_s=0.01)
    pairing.on_image(image(1))
    assert await asyncio.wait_for(shown.get(), 20) == 1


async def test_pictures_never_go_back_in_time() -> None:
    shown: list[int] = []
    pairing = Pairing(lambda i, _: shown.append(i.header.stamp), patience_s=5)
    pairing.on_image(image(1))
    pairing.on_image(image(2))
    pairing.on_detections(detections(2))
    pairing.on_detections(detections(1))
    assert shown == [2]


async def test_one_picture_from_the_future_does_not_hold_back_all_that_follow() -> None:
    shown: list[int] = []
    pairing = Pairing(lambda i, _: shown.append(i.header.stamp), patience_s=5)
    for stamp in (3600 * SECOND, 10 * SECOND, 11 * SECOND):
        pairing.on_image(image(stamp))
        pairing.on_detections(detections(stamp))
    assert shown == [3600 * SECOND, 10 * SECOND, 11 * SECOND]


def test_a_binary_message_says_what_it_holds() -> None:
    data = framed(picture_head(image(SECOND), detections(SECOND), now_ns=2 * SECOND), b"JPEG")
    (size,) = struct.unpack_from("<I", data)
    head = json.loads(data[4 : 4 + size])
    assert data[4 + size :] == b"JPEG"
    assert (head["stamp"], head["now"], head["width"]) == (1000.0, 2000.0, 8)
    assert head["boxes"] == [["person", 0.9, 0.1, 0.2, 0.3, 0.4]]
    assert boxes(None) == []
