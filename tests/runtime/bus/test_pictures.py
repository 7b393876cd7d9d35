"""Pictures as files: colours, sizes, and files that claim what they aren't."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.bus.pictures import claimed_pixels, compressed, expanded, jpeg
from olympus.runtime.errors import MessageError
from olympus.runtime.messages import CompressedImage, Header, Image, decode, encode


def coloured(encoding: str = "rgb8") -> Image:
    data = np.zeros((48, 64, 3), np.uint8)
    data[..., 0 if encoding == "rgb8" else 2] = 220
    data[..., 1] = np.arange(64, dtype=np.uint8)
    return Image(header=Header(seq=5, stamp=7), data=data, encoding=encoding, frame_id="front")


def file(raw: bytes, kind: str = "jpeg") -> CompressedImage:
    return CompressedImage(data=np.frombuffer(raw, np.uint8), format=kind)


def test_a_jpeg_has_the_right_colours() -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 220
    back = cv2.imdecode(np.frombuffer(jpeg(red), np.uint8), cv2.IMREAD_COLOR)
    assert back is not None
    blue, green, got = (int(c) for c in back[8, 8])
    assert got > 180
    assert max(blue, green) < 60


def test_a_wide_picture_is_shrunk_to_the_longest_side_that_is_wanted() -> None:
    wide = np.zeros((1080, 1920, 3), np.uint8)
    back = cv2.imdecode(np.frombuffer(jpeg(wide, longest_px=960), np.uint8), cv2.IMREAD_COLOR)
    assert back is not None
    assert back.shape == (540, 960, 3)
    assert claimed_pixels(jpeg(wide)) == 1080 * 1920


@pytest.mark.parametrize("shape", [(0, 4, 3), (1, 70_000, 3)])
def test_what_no_jpeg_can_hold_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(MessageError, match=r"no pixels|can.t become"):
        jpeg(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_a_picture_comes_back_nearly_as_it_was_with_its_header(encoding: str) -> None:
    image = coloured(encoding)
    sent = decode(encode(compressed(image, quality=95, longest_px=None)))
    assert isinstance(sent, CompressedImage)
    assert sent.data.nbytes < image.data.nbytes / 4
    back = expanded(sent)
    assert (back.header, back.frame_id, back.encoding) == (image.header, "front", "rgb8")
    wanted = image.data if encoding == "rgb8" else image.data[..., ::-1]
    assert np.abs(back.data.astype(int) - wanted).max() < 12
    assert not back.data.flags.writeable


def test_a_png_is_read_too() -> None:
    done, raw = cv2.imencode(".png", coloured().data[..., ::-1])
    assert done
    np.testing.assert_array_equal(expanded(file(raw.tobytes(), "png")).data, coloured().data)


def bomb() -> bytes:
    """A whole JPEG whose frame header claims 65 500 x 65 500 pixels."""
    raw = bytearray(jpeg(np.zeros((16, 16, 3), np.uint8)))
    at = raw.index(b"\xff\xc0") + 5
    struct.pack_into(">HH", raw, at, 65_500, 65_500)
    return bytes(raw)


def test_a_small_file_that_claims_to_be_huge_costs_nothing() -> None:
    with pytest.raises(MessageError, match="claims 4290250000 pixels"):
        expanded(file(bomb()))


@pytest.mark.parametrize("kind", ["jpeg", "png", "gif"])
@given(raw=st.binary(max_size=80))
def test_hostile_bytes_are_refused_with_a_message_error(kind: str, raw: bytes) -> None:
    for blob in (raw, b"\xff\xd8" + raw, b"\x89PNG\r\n\x1a\n" + raw):
        with pytest.raises(MessageError):
            expanded(file(blob, kind))


@given(st.data())
def test_a_damaged_jpeg_is_refused_or_still_a_picture(data: st.DataObject) -> None:
    raw = bytearray(jpeg(coloured().data))
    for _ in range(data.draw(st.integers(1, 6))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        back = expanded(file(bytes(raw[: data.draw(st.integers(0, len(raw)))])))
    except MessageError:
        return
    assert back.data.ndim == 3
