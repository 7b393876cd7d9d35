"""Makes the detector's pictures and labels from the simulator; `--sheet` shows some.

Labels come from what each ray of the camera hit, so they are exact. A picture is divided into cells
of 8 px; a cell belongs to the class whose thing covers at least a quarter of it.
"""

from __future__ import annotations

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from olympus.sim.raycam import Box, View, boxes
from olympus.sim.world import World

WIDTH, HEIGHT, CELL_PX = 160, 120, 8
ROWS, COLUMNS = HEIGHT // CELL_PX, WIDTH // CELL_PX
LABELS = ("background", "person", "obstacle")
IGNORED = 255
"""Class of cells at the edge of a thing, left out of loss and measurement."""
COVERED, TOUCHED = 0.25, 0.06
"""Share of a cell above which it belongs to a thing, and below which to the background."""
LOOKS = 12
"""Pictures taken in one building."""

TRAIN_SEED, TEST_SEED = 100_000, 500_000
"""First building of each set; every building below 100 000 is unseen in training."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Pictures with what is in them; n pictures."""

    images: NDArray[np.uint8]
    """(n, 120, 160, 3), RGB."""
    cells: NDArray[np.uint8]
    """(n, 15, 20), index into `LABELS`, or `IGNORED`."""
    edges: NDArray[np.float32]
    """(n, 15, 20, 4), px from the far side of the cell to the left, upper, right and lower edge of
    its thing, so always positive; 0 in the background."""
    truth: tuple[tuple[Box, ...], ...]
    """What is visible in each picture."""

    def digest(self) -> str:
        """Hash pictures and labels."""
        parts = (self.images, self.cells, self.edges)
        return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def make_examples(first_seed: int, buildings: int, *, looks: int = LOOKS) -> Examples:
    """Take pictures in many buildings.

    Args:
        first_seed: Of the first building; the others follow.
        buildings: How many.
        looks: Pictures in each; rover and people are put elsewhere for each.
    """
    images, cells, edges, truth = [], [], [], []
    for seed in range(first_seed, first_seed + buildings):
        world = World(seed, people=seed % 5)
        for look in range(looks):
            world.scatter(look)
            world.time_ns = look * 1_000_000_000  # chooses the sensor noise
            view = world.look()
            seen = boxes(view, world.building)
            shares = cell_shares(_things(view, world), seen)
            images.append(view.rgb)
            cells.append(label_cells(shares, seen))
            edges.append(label_edges(shares, seen))
            truth.append(tuple(seen))
    return Examples(np.stack(images), np.stack(cells), np.stack(edges), tuple(truth))


def _things(view: View, world: World) -> NDArray[np.int32]:
    """(H, W), the individual each pixel belongs to, or -1."""
    things: NDArray[np.int32] = np.where(
        view.geom_ids >= 0, world.building.things[view.geom_ids], -1
    )
    return things


def cell_shares(things: NDArray[np.int32], seen: list[Box]) -> NDArray[np.float32]:
    """Measure how much of each cell each thing covers.

    Args:
        things: (120, 160), the individual each pixel belongs to.
        seen: The k visible individuals.

    Returns:
        (k, 15, 20), 0..1.
    """
    if not seen:
        return np.zeros((0, ROWS, COLUMNS), np.float32)
    masks = np.stack([things == box.thing for box in seen])
    tiles = masks.reshape(len(seen), ROWS, CELL_PX, COLUMNS, CELL_PX)
    shares: NDArray[np.float32] = tiles.mean(axis=(2, 4), dtype=np.float32)
    return shares


def label_cells(shares: NDArray[np.float32], seen: list[Box]) -> NDArray[np.uint8]:
    """Give each cell its class; (15, 20), see `Examples.cells`."""
    cells = np.zeros((ROWS, COLUMNS), np.uint8)
    if not seen:
        return cells
    kinds = np.array([int(box.kind) for box in seen], np.uint8)
    most, total = shares.max(0), shares.sum(0)
    cells[total >= TOUCHED] = IGNORED
    cells[most >= COVERED] = kinds[shares.argmax(0)][most >= COVERED]
    for kind, share in zip(kinds, shares, strict=True):
        if share.max() < COVERED:  # a thing too small to fill a cell still owns its best one
            cells[np.unravel_index(share.argmax(), share.shape)] = kind
    return cells


def label_edges(shares: NDArray[np.float32], seen: list[Box]) -> NDArray[np.float32]:
    """Measure from each cell to the edges of its thing; (15, 20, 4), see `Examples.edges`."""
    edges = np.zeros((ROWS, COLUMNS, 4), np.float32)
    if not seen:
        return edges
    rows, columns = np.mgrid[0:ROWS, 0:COLUMNS] * CELL_PX
    corners = np.array(
        [(b.x * WIDTH, b.y * HEIGHT, (b.x + b.w) * WIDTH, (b.y + b.h) * HEIGHT) for b in seen],
        np.float32,
    )[shares.argmax(0)]
    edges[..., 0] = columns + CELL_PX - corners[..., 0]
    edges[..., 1] = rows + CELL_PX - corners[..., 1]
    edges[..., 2] = corners[..., 2] - columns
    edges[..., 3] = corners[..., 3] - rows
    edges[shares.max(0) <= 0] = 0
    return edges


def write_sheet(examples: Examples, path: Path, columns: int = 8) -> None:
    """Write a contact sheet with the true boxes drawn in."""
    import cv2

    tiles = []
    for image, seen in zip(examples.images, examples.truth, strict=True):
        tile = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        for box in seen:
            start = (round(box.x * WIDTH), round(box.y * HEIGHT))
            end = (round((box.x + box.w) * WIDTH) - 1, round((box.y + box.h) * HEIGHT) - 1)
            cv2.rectangle(tile, start, end, (0, 0, 255) if box.kind == 1 else (255, 128, 0), 1)
        tiles.append(tile)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles) - columns + 1, columns)]
    cv2.imwrite(str(path), np.vstack(rows))


def main() -> None:
    """Write a contact sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sheet", type=Path, required=True, help="PNG file to write")
    parser.add_argument("--seed", type=int, default=TRAIN_SEED, help="first building")
    parser.add_argument("--buildings", type=int, default=6, help="how many")
    args = parser.parse_args()
    write_sheet(make_examples(args.seed, args.buildings), args.sheet)


if __name__ == "__main__":
    main()
