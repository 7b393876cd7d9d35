"""Trains the person and obstacle detector and writes it as float ONNX; one thread, seeded."""

from __future__ import annotations

import argparse
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from olympus.models.training.detector_data import IGNORED, TRAIN_SEED, Examples, make_examples
from olympus.models.training.detector_net import DetectorNet

log = logging.getLogger("detector_train")

BACKGROUND_WEIGHT = 0.5
"""Most cells are background; half their weight balances misses and false finds."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast to learn."""

    seed: int = 0
    buildings: int = 400
    epochs: int = 11
    batch: int = 32
    rate: float = 4e-3
    warm_up: float = 0.05
    """Share of the steps in which the rate rises."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some pictures with their labels, as tensors."""

    images: Tensor
    cells: Tensor
    edges: Tensor


def train(plan: Plan) -> DetectorNet:
    """Make the pictures, and learn from them."""
    torch.manual_seed(plan.seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    started = time.process_time()
    examples = make_examples(TRAIN_SEED, plan.buildings)
    log.info("%d pictures after %.0f s", len(examples.images), time.process_time() - started)
    net = DetectorNet()
    _learn(net, examples, plan)
    log.info("trained after %.0f CPU-s", time.process_time() - started)
    net.eval()
    return net


def _learn(net: DetectorNet, examples: Examples, plan: Plan) -> None:
    steps = plan.epochs * (len(examples.images) // plan.batch)
    optimiser = torch.optim.AdamW(net.parameters(), lr=plan.rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, plan.rate, total_steps=steps, pct_start=plan.warm_up
    )
    rng = np.random.default_rng(plan.seed)
    for epoch in range(plan.epochs):
        order = rng.permutation(len(examples.images))
        losses = []
        for start in range(0, len(order) - plan.batch + 1, plan.batch):
            batch = augment(_take(examples, order[start : start + plan.batch]), rng)
            loss = loss_of(net(batch.images), batch)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call, unused-ignore]
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
        log.info("epoch %d: loss %.4f", epoch + 1, np.mean(losses))


def _take(examples: Examples, chosen: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Batch:
    return Batch(
        torch.from_numpy(examples.images[chosen]).to(torch.float32),
        torch.from_numpy(examples.cells[chosen]).to(torch.int64),
        torch.from_numpy(examples.edges[chosen]),
    )


def augment(batch: Batch, rng: np.random.Generator) -> Batch:
    """Mirror half of the pictures, and change light, colour, contrast and noise of all."""
    n = len(batch.images)
    mirrored = torch.from_numpy(rng.random(n) < 0.5)
    images, cells, edges = batch.images, batch.cells.clone(), batch.edges.clone()
    gain = rng.uniform(0.7, 1.3, (n, 1, 1, 1)) * rng.uniform(0.9, 1.1, (n, 1, 1, 3))
    contrast = rng.uniform(0.75, 1.25, (n, 1, 1, 1))
    images = (images - 128) * _tensor(contrast) + 128
    images = images.clamp(0, 255) * _tensor(gain)
    noise = torch.randn(images.shape) * _tensor(rng.uniform(0, 6, (n, 1, 1, 1)))
    images = (images + noise).clamp(0, 255)
    images[mirrored] = images[mirrored].flip(2)
    cells[mirrored] = cells[mirrored].flip(2)
    edges[mirrored] = edges[mirrored].flip(2)[..., [2, 1, 0, 3]]
    return Batch(images, cells, edges)


def _tensor(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


def loss_of(found: tuple[Tensor, Tensor], batch: Batch) -> Tensor:
    """Weigh wrong classes, and wrong boxes where there is a thing."""
    logits, edges = found
    weight = torch.tensor([BACKGROUND_WEIGHT, 1.0, 1.0])
    classes = nn.functional.cross_entropy(
        logits.reshape(-1, 3), batch.cells.reshape(-1), weight, ignore_index=IGNORED
    )
    things = (batch.cells != IGNORED) & (batch.cells > 0) & (batch.edges.amin(-1) > 0)
    have, want = edges[things], batch.edges[things]
    ratio = (torch.log(have) - torch.log(want)).abs()
    return classes + 0.5 * ratio.clamp(max=2.0).mean() + 0.5 * (1 - _overlap(have, want)).mean()


def _overlap(have: Tensor, want: Tensor) -> Tensor:
    """Intersection over union of boxes that share a cell, given by their edges."""
    cell = 8.0
    both = torch.minimum(have, want)
    shared = _area(both, cell)
    return shared / (_area(have, cell) + _area(want, cell) - shared)


def _area(edges: Tensor, cell: float) -> Tensor:
    wide = (edges[:, 0] + edges[:, 2] - cell).clamp(min=1.0)
    high = (edges[:, 1] + edges[:, 3] - cell).clamp(min=1.0)
    return wide * high


def export(net: DetectorNet, path: Path) -> None:
    """Write the network as ONNX that takes the camera's uint8 pictures as they are."""
    picture = torch.zeros((1, 120, 160, 3), dtype=torch.uint8)
    torch.onnx.export(
        net.eval(),
        (picture,),
        str(path),
        input_names=["image"],
        output_names=["logits", "edges"],
        opset_version=17,
        dynamo=False,
    )


def main() -> None:
    """Train and export."""
    usual = Plan()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="float ONNX file to write")
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--buildings", type=int, default=usual.buildings, help="12 pictures each")
    parser.add_argument("--epochs", type=int, default=usual.epochs)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    net = train(Plan(seed=args.seed, buildings=args.buildings, epochs=args.epochs))
    export(net, args.out)
    log.info("%d parameters, written to %s", sum(p.numel() for p in net.parameters()), args.out)


if __name__ == "__main__":
    main()
