from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.models.picture import GREY, fit
from olympus.runtime.messages import Detection


def test_a_frame_of_the_right_size_is_not_copied() -> None:
    frame = np.zeros((120, 160, 3), np.uint8)
    picture, where = fit(frame, 120, 160)
    assert picture is frame
    assert (where.width, where.height) == (1, 1)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 64), st.integers(1, 64))
def test_any_frame_fits_with_grey_around(rows: int, columns: int, high: int, wide: int) -> None:
    picture, where = fit(np.full((rows, columns, 3), 200, np.uint8), high, wide)
    assert picture.shape == (high, wide, 3)
    covered = (picture == 200).all(axis=2)
    assert covered.mean() == pytest.approx(where.width * where.height)
    assert (picture[~covered] == GREY).all()


@given(
    st.integers(20, 400),
    st.integers(20, 400),
    st.tuples(*[st.floats(0, 0.5)] * 2, *[st.floats(0.05, 0.5)] * 2),
)
def test_a_box_comes_back_to_where_it_was(
    rows: int, columns: int, box: tuple[float, float, float, float]
) -> None:
    _, where = fit(np.zeros((rows, columns, 3), np.uint8), 120, 160)
    x, y, w, h = box
    inside = Detection(
        label="person",
        confidence=1,
        x=where.left + x * where.width,
        y=where.top + y * where.height,
        w=w * where.width,
        h=h * where.height,
    )
    back = where.to_frame(inside)
    assert back is not None
    assert (back.x, back.y, back.w, back.h) == pytest.approx((x, y, w, h))


def test_what_is_seen_in_the_border_is_not_in_the_frame() -> None:
    _, where = fit(np.zeros((50, 160, 3), np.uint8), 120, 160)
    assert where.to_frame(Detection(label="a", confidence=1, x=0, y=0, w=1, h=0.2)) is None
