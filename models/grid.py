"""Turns the grid a detector gives into boxes: per-cell boxes merged, or connected cells.

A detector's outputs: `logits` (1, rows, columns, classes), class 0 the background; and, if the
model has it, `edges` (1, rows, columns, 4): px from the far side of each cell to the left, upper,
right and lower edge of its thing. Without `edges` a thing is the rectangle around its connected
cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from olympus.runtime.errors import ModelError
from olympus.runtime.messages import Detection

Floats = NDArray[np.float32]

SAME_THING = 0.45
"""Boxes of one class that overlap more (intersection over union) are one thing."""
PART_OF = 0.75
"""A box that lies inside a larger, surer one of its class with this share of its area is a part."""


@dataclass(frozen=True, slots=True)
class Grid:
    """What a detector says about each cell of a picture."""

    chances: Floats
    """(rows, columns, classes), 0..1, sum 1; class 0 is the background."""
    edges: Floats | None
    """(rows, columns, 4), px, or None."""
    labels: tuple[str, ...]
    """One for each class."""
    cell_px: float
    """Side of a cell, px of the model's picture."""

    @classmethod
    def read(
        cls, logits: Floats, edges: Floats | None, labels: Sequence[str], cell_px: float
    ) -> Grid:
        """Take the outputs of a model for one picture.

        Args:
            logits: (1, rows, columns, classes).
            edges: (1, rows, columns, 4), px, or None.
            labels: One for each class, the background first.
            cell_px: Side of a cell, px.

        Raises:
            ModelError: Shapes and labels don't fit together.
        """
        if logits.ndim != 4 or logits.shape[0] != 1 or logits.shape[3] != len(labels):
            raise ModelError(
                f"output logits has shape {list(logits.shape)}, wants [1, rows, columns, "
                f"{len(labels)}] for labels {', '.join(labels)}; correct labels or the model"
            )
        if edges is not None and edges.shape != (*logits.shape[:3], 4):
            raise ModelError(
                f"output edges has shape {list(edges.shape)}, wants {[*logits.shape[:3], 4]}"
            )
        return cls(softmax(logits[0]), None if edges is None else edges[0], tuple(labels), cell_px)


def softmax(logits: Floats) -> Floats:
    """Turn logits into chances along the last axis; any shape, sums 1."""
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    chances: Floats = (raised / raised.sum(axis=-1, keepdims=True)).astype(np.float32, copy=False)
    return chances


def find(grid: Grid, *, min_confidence: float = 0.5) -> tuple[Detection, ...]:
    """List the things in a picture, the surest first.

    Args:
        grid: One picture's cells.
        min_confidence: Cells less sure than this don't count, 0..1.

    Returns:
        Boxes normalised to the model's picture and clipped to it; no two of one label overlap by
        more than `SAME_THING`.
    """
    best = grid.chances.argmax(axis=-1)
    sure = grid.chances.max(axis=-1) >= min_confidence
    found: list[Detection] = []
    for index, label in enumerate(grid.labels[1:], start=1):
        cells = (best == index) & sure
        if cells.any():
            boxes, scores = _boxes(grid, cells, grid.chances[..., index])
            found += _detections(label, *merge(boxes, scores), grid)
    return tuple(sorted(found, key=lambda d: (-d.confidence, d.label, d.x, d.y)))


def _boxes(grid: Grid, cells: NDArray[np.bool_], chances: Floats) -> tuple[Floats, Floats]:
    """Give the boxes (n, 4: left, top, right, bottom in px) and chances of some cells."""
    if grid.edges is None:
        return connected_boxes(cells, chances, grid.cell_px)
    rows, columns = np.nonzero(cells)
    left, top = columns * grid.cell_px, rows * grid.cell_px
    edges = grid.edges[rows, columns]
    boxes = np.stack(
        [
            left + grid.cell_px - edges[:, 0],
            top + grid.cell_px - edges[:, 1],
            left + edges[:, 2],
            top + edges[:, 3],
        ],
        axis=1,
    )
    return boxes.astype(np.float32), chances[rows, columns]


def connected_boxes(
    cells: NDArray[np.bool_], chances: Floats, cell_px: float
) -> tuple[Floats, Floats]:
    """Draw a rectangle around each group of cells that touch, corners included.

    Args:
        cells: (rows, columns), which cells count.
        chances: (rows, columns), 0..1.
        cell_px: Side of a cell.

    Returns:
        (n, 4) left, top, right, bottom in px; (n,) the greatest chance in each group.
    """
    boxes, scores = [], []
    for rows, columns in _groups(cells):
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        boxes.append(np.array(box, np.float32) * cell_px)
        scores.append(chances[rows, columns].max())
    return np.array(boxes, np.float32).reshape(-1, 4), np.array(scores, np.float32)


def _groups(cells: NDArray[np.bool_]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    left = {(int(r), int(c)) for r, c in zip(*np.nonzero(cells), strict=True)}
    groups = []
    while left:
        pending, group = [min(left)], []
        left.discard(pending[0])
        while pending:
            row, column = pending.pop()
            group.append((row, column))
            around = {(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= around
            pending.extend(sorted(around))
        rows, columns = np.array(group).T
        groups.append((rows, columns))
    return groups


def merge(boxes: Floats, scores: Floats) -> tuple[Floats, Floats]:
    """Join boxes of the same thing, the surest first.

    Args:
        boxes: (n, 4) left, top, right, bottom.
        scores: (n,) how sure each is.

    Returns:
        (k, 4) boxes, each the mean of its group weighted by score, and (k,) the best scores; among
        them none overlaps another by more than `SAME_THING`.
    """
    while True:
        joined, best = _merge_once(boxes, scores)
        if len(joined) == len(boxes):
            return joined, best
        boxes, scores = joined, best


def _merge_once(boxes: Floats, scores: Floats) -> tuple[Floats, Floats]:
    left = np.argsort(-scores, kind="stable")
    joined, best = [], []
    while left.size:
        shared, first_area, areas = _shared(boxes[left[0]], boxes[left])
        union = first_area + areas - shared
        alike = shared > SAME_THING * union
        alike[0] = True
        group = left[alike]
        joined.append(np.average(boxes[group], axis=0, weights=scores[group]))
        best.append(scores[group[0]])
        is_part = (shared > PART_OF * areas) & (areas <= first_area)
        left = left[~alike & ~is_part]
    return np.array(joined, np.float32).reshape(-1, 4), np.array(best, np.float32)


def _shared(box: Floats, others: Floats) -> tuple[Floats, np.float32, Floats]:
    """Give the areas that a box shares with others, its own and theirs."""
    wide = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    high = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    areas = (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    own = np.float32((box[2] - box[0]) * (box[3] - box[1]))
    return np.maximum(wide, 0) * np.maximum(high, 0), own, areas


def overlap(one: Detection, other: Detection) -> float:
    """Measure how alike two boxes are: intersection over union, 0..1."""
    a, b = (np.array([d.x, d.y, d.x + d.w, d.y + d.h], np.float32) for d in (one, other))
    shared, own, areas = _shared(a, b[np.newaxis])
    union = float(own + areas[0] - shared[0])
    return float(shared[0]) / union if union > 0 else 0.0


def _detections(label: str, boxes: Floats, scores: Floats, grid: Grid) -> list[Detection]:
    rows, columns = grid.chances.shape[:2]
    size = np.array([columns, rows, columns, rows], np.float32) * grid.cell_px
    corners = np.clip(boxes / size, 0.0, 1.0)
    return [
        Detection(
            label=label,
            confidence=float(min(score, 1.0)),
            x=float(x0),
            y=float(y0),
            w=float(x1 - x0),
            h=float(y1 - y0),
        )
        for (x0, y0, x1, y1), score in zip(corners, scores, strict=True)
        if x1 > x0 and y1 > y0
    ]
