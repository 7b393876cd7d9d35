from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from olympus.models import grid
from olympus.models.grid import Floats, Grid, find, overlap
from olympus.runtime.errors import ModelError
from olympus.runtime.messages import Detection

LABELS = ("background", "person", "obstacle")
ROWS, COLUMNS, CELL = 6, 8, 8.0
SIZE = np.array([COLUMNS, ROWS, COLUMNS, ROWS]) * CELL

finite = st.floats(-20, 20, width=32)
logits_of_any_kind = arrays(np.float32, (1, ROWS, COLUMNS, 3), elements=finite)
edges_of_any_kind = arrays(np.float32, (1, ROWS, COLUMNS, 4), elements=st.floats(0.5, 60, width=32))


def picture(*things: tuple[int, tuple[int, int, int, int]]) -> tuple[Floats, Floats]:
    """Logits and edges of a perfect detector; boxes in px, left, top, right, bottom."""
    logits = np.zeros((1, ROWS, COLUMNS, 3), np.float32)
    edges = np.ones((1, ROWS, COLUMNS, 4), np.float32)
    logits[..., 0] = 5
    for kind, (x0, y0, x1, y1) in things:
        for row in range(ROWS):
            for column in range(COLUMNS):
                left, top = column * CELL, row * CELL
                if x0 <= left + 4 < x1 and y0 <= top + 4 < y1:
                    logits[0, row, column] = 0
                    logits[0, row, column, kind] = 5
                    edges[0, row, column] = (left + 8 - x0, top + 8 - y0, x1 - left, y1 - top)
    return logits, edges


def corners(found: Detection) -> list[int]:
    box = np.array([found.x, found.y, found.x + found.w, found.y + found.h]) * SIZE
    return [round(float(edge)) for edge in box]


@given(logits_of_any_kind, st.none() | edges_of_any_kind, st.floats(0, 1))
def test_boxes_lie_in_the_picture_are_sure_enough_and_do_not_repeat(
    logits: Floats, edges: Floats | None, least: float
) -> None:
    found = find(Grid.read(logits, edges, LABELS, CELL), min_confidence=least)
    for one in found:
        assert one.label in LABELS[1:]
        assert least - 1e-6 <= one.confidence <= 1
        assert 0 <= one.x < one.x + one.w <= 1 + 1e-6
        assert 0 <= one.y < one.y + one.h <= 1 + 1e-6
    assert list(found) == sorted(found, key=lambda d: -d.confidence)


boxes_in_a_row = st.lists(
    st.tuples(st.integers(0, 50), st.integers(0, 30), st.integers(4, 30), st.integers(4, 30)),
    min_size=1,
    max_size=12,
)


@given(boxes_in_a_row, st.data())
def test_merged_boxes_never_overlap_much_and_keep_the_best_score(
    sizes: list[tuple[int, int, int, int]], data: st.DataObject
) -> None:
    boxes = np.array([(x, y, x + w, y + h) for x, y, w, h in sizes], np.float32)
    scores = data.draw(arrays(np.float32, len(boxes), elements=st.floats(0.125, 1, width=32)))
    joined, best = grid.merge(boxes, scores)
    assert 1 <= len(joined) <= len(boxes)
    assert best.max() == scores.max()
    assert joined[:, :2].min() >= boxes[:, :2].min() - 1e-3
    assert joined[:, 2:].max() <= boxes[:, 2:].max() + 1e-3
    for i in range(len(joined)):
        for j in range(i):
            shared, own, areas = grid._shared(joined[i], joined[j : j + 1])
            assert shared[0] <= (grid.SAME_THING + 1e-4) * (own + areas[0] - shared[0])


@given(st.integers(0, 40), st.integers(0, 24), st.integers(16, 24), st.integers(16, 24))
def test_a_thing_anywhere_is_found_exactly(x: int, y: int, wide: int, high: int) -> None:
    box = (x, y, min(x + wide, 64), min(y + high, 48))
    (found,) = find(Grid.read(*picture((1, box)), LABELS, CELL))
    assert found.label == "person"
    assert corners(found) == list(box)


def test_two_people_who_touch_are_two_when_edges_are_known() -> None:
    logits, edges = picture((1, (0, 0, 24, 48)), (1, (24, 8, 48, 48)))
    assert len(find(Grid.read(logits, edges, LABELS, CELL))) == 2
    assert len(find(Grid.read(logits, None, LABELS, CELL))) == 1


def test_a_part_of_a_larger_surer_person_is_left_out() -> None:
    boxes = np.array([(0, 0, 40, 48), (8, 8, 16, 20)], np.float32)
    joined, _ = grid.merge(boxes, np.array([0.9, 0.8], np.float32))
    assert np.allclose(joined, [[0, 0, 40, 48]], atol=1e-3)


def test_a_large_near_person_is_kept_behind_a_surer_small_one() -> None:
    boxes = np.array([(0, 0, 40, 48), (8, 8, 16, 20)], np.float32)
    joined, _ = grid.merge(boxes, np.array([0.8, 0.9], np.float32))
    assert len(joined) == 2


def test_a_person_in_front_of_an_obstacle_leaves_both() -> None:
    found = find(Grid.read(*picture((2, (0, 16, 64, 48)), (1, (16, 0, 32, 48))), LABELS, CELL))
    assert {one.label for one in found} == {"person", "obstacle"}


def test_without_edges_connected_cells_are_one_thing() -> None:
    logits, _ = picture((2, (0, 0, 8, 8)), (2, (8, 8, 16, 16)), (2, (40, 40, 48, 48)))
    found = find(Grid.read(logits, None, LABELS, CELL))
    assert sorted(corners(one) for one in found) == [[0, 0, 16, 16], [40, 40, 48, 48]]


def test_an_empty_picture_has_nothing_in_it() -> None:
    assert find(Grid.read(*picture(), LABELS, CELL)) == ()


def test_outputs_of_another_shape_are_refused() -> None:
    logits, edges = picture()
    with pytest.raises(ModelError, match=r"output logits has shape \[1, 6, 8, 3\]"):
        Grid.read(logits, None, ("background", "person"), CELL)
    with pytest.raises(ModelError, match=r"output edges has shape \[1, 6, 8, 2\]"):
        Grid.read(logits, edges[..., :2], LABELS, CELL)


def test_overlap_is_one_for_itself_and_zero_apart() -> None:
    one, other = (
        Detection(label="person", confidence=1, x=x, y=0.1, w=0.2, h=0.5) for x in (0.1, 0.5)
    )
    assert overlap(one, one) == pytest.approx(1.0)
    assert overlap(one, other) == pytest.approx(0.0)
