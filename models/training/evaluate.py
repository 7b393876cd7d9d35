"""Measures a detector on buildings it has never seen, and the time one run takes."""

from __future__ import annotations

import argparse
import json
import logging
import math
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from olympus.models import grid
from olympus.models.onnx import OnnxModel, blank, open_model
from olympus.models.training.detector_data import (
    CELL_PX,
    IGNORED,
    LABELS,
    TEST_SEED,
    Examples,
    make_examples,
)
from olympus.runtime.messages import Detection
from olympus.sim.raycam import Box

FOCAL = 1 / 2 / math.tan(math.radians(80) / 2)
"""Focal length of the simulated camera, in widths of its picture."""
MIN_CONFIDENCE = 0.6
"""Cells less sure than this don't count."""
NEAR_M, FAR_M, CLEAR_PIXELS = 0.5, 8.0, 40
"""People between these distances with so many visible pixels should be seen."""

Detector = Callable[[NDArray[np.uint8]], grid.Grid]


@dataclass(frozen=True, slots=True)
class Score:
    """How well a detector did on n pictures."""

    n: int
    people: int
    """How many people were clearly visible, counted in every picture."""
    obstacles: int
    """The same for furniture."""
    with_person: int
    """In how many pictures somebody was clearly visible."""
    without_person: int
    """In how many nobody was visible at all."""
    person_boxes: int
    """How many boxes of people were found."""
    person_cell_f1: float
    obstacle_cell_f1: float
    person_recall: float
    """Share of the clearly visible people of whom a box (IoU above 0.3) was found."""
    obstacle_recall: float
    person_seen: float
    """Share of the pictures with somebody clearly visible in which a person was found."""
    person_false: float
    """Share of the pictures without anybody in which one was found nevertheless."""
    person_precision: float
    """Share of the person boxes that overlap a real person (IoU above 0.3)."""
    person_iou: float
    """Mean overlap of found people with the truth."""
    bearing_error_deg: float
    """Median over found people."""
    bearing_error_p95_deg: float


def detector(model: OnnxModel) -> Detector:
    """Make a function from a picture to the grid of a model."""

    def look(image: NDArray[np.uint8]) -> grid.Grid:
        found = model.run({"image": image[np.newaxis]})
        return grid.Grid.read(found["logits"], found["edges"], LABELS, CELL_PX)

    return look


def evaluate(
    look: Detector, examples: Examples, *, min_confidence: float = MIN_CONFIDENCE
) -> Score:
    """Compare what a detector finds with the truth."""
    counts = np.zeros((3, 3))  # truth, found
    people, things = _Tally(), _Tally()
    for image, cells, truth in zip(examples.images, examples.cells, examples.truth, strict=True):
        seen = look(image)
        best = seen.chances.argmax(-1)
        kept = cells != IGNORED
        np.add.at(counts, (cells[kept], best[kept]), 1)
        found = grid.find(seen, min_confidence=min_confidence)
        people.add([b for b in truth if b.kind == 1], [d for d in found if d.label == "person"])
        things.add([b for b in truth if b.kind == 2], [d for d in found if d.label == "obstacle"])
    return Score(
        n=len(examples.images),
        people=people.wanted,
        obstacles=things.wanted,
        with_person=people.with_some,
        without_person=people.without,
        person_boxes=people.found,
        person_cell_f1=_f1(counts, 1),
        obstacle_cell_f1=_f1(counts, 2),
        person_recall=people.hits / max(1, people.wanted),
        obstacle_recall=things.hits / max(1, things.wanted),
        person_seen=people.seen / max(1, people.with_some),
        person_false=people.false / max(1, people.without),
        person_precision=people.right / max(1, people.found),
        person_iou=float(np.mean(people.overlaps)),
        bearing_error_deg=float(np.median(people.bearings)),
        bearing_error_p95_deg=float(np.quantile(people.bearings, 0.95)),
    )


class _Tally:
    """Counts hits and misses of one class."""

    def __init__(self) -> None:
        self.wanted = self.hits = self.found = self.right = 0
        self.with_some = self.seen = self.without = self.false = 0
        self.overlaps: list[float] = []
        self.bearings: list[float] = []

    def add(self, truth: list[Box], found: list[Detection]) -> None:
        """Count one picture."""
        clear = [box for box in truth if is_clear(box)]
        table = [[grid.overlap(as_detection(box), d) for d in found] for box in truth]
        self.found += len(found)
        self.right += sum(max(column) > 0.3 for column in zip(*table, strict=True))
        for box, row in zip(truth, table, strict=True):
            if box in clear:
                self._match(box, row, found)
        if clear:
            self.with_some, self.seen = self.with_some + 1, self.seen + bool(found)
        elif not truth:
            self.without, self.false = self.without + 1, self.false + bool(found)

    def _match(self, box: Box, row: list[float], found: list[Detection]) -> None:
        self.wanted += 1
        if row and max(row) > 0.3:
            self.hits += 1
            best = found[int(np.argmax(row))]
            self.overlaps.append(max(row))
            self.bearings.append(abs(_bearing_deg(best) - _bearing_deg(as_detection(box))))


def is_clear(box: Box) -> bool:
    """Tell whether one may expect it to be found."""
    return NEAR_M <= box.distance_m <= FAR_M and box.pixels >= CLEAR_PIXELS


def as_detection(box: Box) -> Detection:
    """See the truth as a perfect detector would report it."""
    return Detection(label=LABELS[box.kind], confidence=1.0, x=box.x, y=box.y, w=box.w, h=box.h)


def _bearing_deg(found: Detection) -> float:
    return math.degrees(math.atan((0.5 - found.x - found.w / 2) / FOCAL))


def _f1(counts: NDArray[np.float64], index: int) -> float:
    right = counts[index, index]
    return float(2 * right / max(1.0, counts[index].sum() + counts[:, index].sum()))


def time_runs(model: OnnxModel, image: NDArray[np.uint8], runs: int = 2000) -> dict[str, float]:
    """Time single runs, each with its checks; milliseconds of wall time."""
    feed = {"image": image[np.newaxis]}
    spans = []
    for _ in range(runs):
        started = time.perf_counter_ns()
        model.run(feed)
        spans.append((time.perf_counter_ns() - started) / 1e6)
    return {
        "p50_ms": round(float(np.median(spans)), 3),
        "p99_ms": round(float(np.quantile(spans, 0.99)), 3),
        "worst_ms": round(max(spans), 3),
        "n": runs,
    }


def memory_mb(manifest: Path) -> float:
    """Measure how much a fresh process grows when it loads a model and runs it; MB."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return round(pool.submit(_growth_mb, manifest).result(), 1)


def _growth_mb(manifest: Path) -> float:
    before = _resident_mb()
    model = open_model(str(manifest))
    for _ in range(20):
        model.run({t.name: blank(t) for t in model.manifest.inputs})
    return _resident_mb() - before


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    """Print the score and the time as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="person-obstacle", help="name or path of a manifest")
    parser.add_argument("--buildings", type=int, default=50, help="12 pictures each")
    parser.add_argument("--seed", type=int, default=TEST_SEED, help="first building")
    parser.add_argument("--out", type=Path, help="file to write besides")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    model = open_model(args.model)
    examples = make_examples(args.seed, args.buildings)
    score = asdict(evaluate(detector(model), examples))
    text = json.dumps({"score": score, "time": time_runs(model, examples.images[0])}, indent=2)
    logging.info("%s", text)
    if args.out:
        args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
