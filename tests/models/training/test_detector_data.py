from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from olympus.models import grid
from olympus.models.training.detector_data import (
    CELL_PX,
    COLUMNS,
    IGNORED,
    LABELS,
    ROWS,
    TRAIN_SEED,
    Examples,
    cell_shares,
    label_cells,
    label_edges,
    make_examples,
    write_sheet,
)
from olympus.models.training.evaluate import evaluate, is_clear
from olympus.sim.building import Kind
from olympus.sim.raycam import Box


@pytest.fixture(scope="module")
def examples() -> Examples:
    return make_examples(TRAIN_SEED + 3, 2, looks=6)


def thing(number: int, *, kind: Kind = Kind.PERSON) -> Box:
    return Box(kind=kind, thing=number, x=0.1, y=0.2, w=0.1, h=0.4, pixels=700, distance_m=2.0)


def test_the_same_seed_gives_the_same_examples(examples: Examples) -> None:
    assert make_examples(TRAIN_SEED + 3, 2, looks=6).digest() == examples.digest()
    assert make_examples(TRAIN_SEED + 4, 2, looks=6).digest() != examples.digest()


def test_pictures_and_labels_have_their_shapes(examples: Examples) -> None:
    assert examples.images.shape == (12, 120, 160, 3)
    assert examples.cells.shape == (12, ROWS, COLUMNS)
    assert set(np.unique(examples.cells)) <= {0, 1, 2, IGNORED}
    assert (examples.edges[(examples.cells > 0) & (examples.cells != IGNORED)] > 0).all()


def test_a_cell_half_covered_belongs_to_its_thing_and_an_edge_is_left_out() -> None:
    things = np.full((120, 160), -1, np.int32)
    things[24:72, 16:33] = 0
    seen = [thing(0)]
    shares = cell_shares(things, seen)
    cells = label_cells(shares, seen)
    assert cells[3, 2] == cells[8, 3] == Kind.PERSON
    assert cells[3, 4] == IGNORED
    assert cells[2, 2] == cells[3, 5] == Kind.BACKGROUND


def test_a_thing_too_small_for_a_cell_still_has_one() -> None:
    things = np.full((120, 160), -1, np.int32)
    things[50:53, 78:82] = 1000
    seen = [thing(1000, kind=Kind.OBSTACLE)]
    cells = label_cells(cell_shares(things, seen), seen)
    assert (cells == Kind.OBSTACLE).sum() == 1


def test_edges_lead_from_every_cell_to_the_box() -> None:
    things = np.full((120, 160), -1, np.int32)
    things[24:72, 16:32] = 0
    edges = label_edges(cell_shares(things, [thing(0)]), [thing(0)])
    assert edges[3, 2].tolist() == pytest.approx([16 + 8 - 16, 24 + 8 - 24, 32 - 16, 72 - 24])
    assert (edges[0, 0] == 0).all()


def test_a_perfect_detector_gets_a_nearly_perfect_score(examples: Examples) -> None:
    answers = iter(zip(examples.cells, examples.edges, strict=True))

    def look(_: np.ndarray) -> grid.Grid:
        cells, edges = next(answers)
        classes = np.where(cells == IGNORED, 0, cells)
        logits = 9 * np.eye(3, dtype=np.float32)[classes]
        return grid.Grid.read(logits[None], np.maximum(edges, 1)[None], LABELS, CELL_PX)

    score = evaluate(look, examples)
    assert score.person_cell_f1 == score.obstacle_cell_f1 == 1
    assert score.person_seen == 1
    assert score.person_false == 0
    assert score.person_recall > 0.85
    assert score.person_iou > 0.9


def test_people_far_away_or_nearly_hidden_need_not_be_seen() -> None:
    assert is_clear(thing(0))
    assert not is_clear(Box(Kind.PERSON, 0, 0, 0, 0.1, 0.1, pixels=10, distance_m=2))
    assert not is_clear(Box(Kind.PERSON, 0, 0, 0, 0.1, 0.1, pixels=90, distance_m=9))


def test_a_contact_sheet_is_written(examples: Examples, tmp_path: Path) -> None:
    write_sheet(examples, tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").stat().st_size > 10_000
