from __future__ import annotations

import numpy as np
import pytest

from olympus.drivers.base import Frame
from olympus.nodes.frozen import Repetition


def frame(at_s: float, *, shade: int = 7, dot: int = 0) -> Frame:
    rgb = np.full((24, 32, 3), shade, np.uint8)
    rgb[3, 5, 1] += dot
    return Frame(rgb, round(at_s * 1e9))


def test_a_new_picture_is_no_repetition() -> None:
    repetition = Repetition()
    assert [repetition.add(frame(n, shade=n)) for n in range(3)] == [0.0, 0.0, 0.0]


def test_an_equal_picture_counts_from_the_first_of_its_kind() -> None:
    repetition = Repetition()
    lasted = [repetition.add(frame(n / 10)) for n in range(4)]
    assert lasted == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert repetition.lasted_s == pytest.approx(0.3)


def test_one_bit_anywhere_makes_another_picture() -> None:
    repetition = Repetition()
    repetition.add(frame(0.0))
    assert repetition.add(frame(0.1, dot=1)) == 0.0
    assert repetition.add(frame(0.2)) == 0.0


def test_another_size_is_another_picture() -> None:
    repetition = Repetition()
    repetition.add(frame(0.0))
    assert repetition.add(Frame(np.full((8, 8, 3), 7, np.uint8), 10**9)) == 0.0
