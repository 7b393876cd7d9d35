"""Trains the planner: seeded, one thread; keeps what it has so far, so that it can be stopped.

The shipped planner was made in three runs, each going on from the one before:

    python -m olympus.models.training.commands.train --work build/one --steps 3000
    cp build/one/merges.json build/two/
    python -m olympus.models.training.commands.train --work build/two --steps 3000 --seed 1 \\
        --again build/one/planner.pt
    python -m olympus.models.training.commands.train --work build/three --steps 1200 --seed 2 \\
        --layers 4 --drill 0.4 --rate 1e-3 --again build/1.0.0/planner-q8_0.gguf

The third began with what `commands/make.py` made of the second, which was shipped as planner 1.0.0
(sha256 148be3254e9867c5ac910c90f799156788de2d6d9475c80aafdfaa1ce299535c), and a fourth layer. The
generator has learnt phrases since: run again, the recipe gives other weights and, within the
intervals, the same figures (docs/benchmarks.md).
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from olympus.models.training.commands.bpe import ANSWER, BEGIN, END, PAD, SPECIAL, Tokenizer, learn
from olympus.models.training.commands.generator import Teller
from olympus.models.training.commands.net import Net, Shape
from olympus.models.training.commands.restore import merges_of, restore
from olympus.models.training.commands.wording import Example, is_held_out

log = logging.getLogger("planner")
BATCH = 64
CHUNK = 64 * 64
"""Examples sorted by length together, so that a batch wastes little on padding."""
RATE = 2e-3
WARM_STEPS = 150
AVERAGE = 0.998
"""Share of the running average of the weights that is kept at each step."""
TYPOS = 0.06
TRAINING_SEED, LONGEST = 1000, 150


@dataclass(frozen=True, slots=True)
class Encoded:
    """An example as tokens."""

    tokens: tuple[int, ...]
    answer: int
    """Where the answer begins."""


def examples(seed: int, drill: float = 0.0) -> Iterator[Example]:
    """Tell commands without end, a new site every few sentences; see `Teller` for `drill`."""
    rng = random.Random(seed)
    while True:
        teller = Teller(rng, drill=drill)
        for _ in range(8):
            example = teller.example()
            if not is_held_out(example.masked.text):
                yield example


def encode(example: Example, tokenizer: Tokenizer, rng: random.Random) -> Encoded | None:
    """Turn an example into tokens; None if a number in it was lost or it is too long."""
    try:
        target = example.target
    except KeyError:
        return None
    text = example.masked.text
    if rng.random() < TYPOS:
        text = mistyped(text, target, rng)
    ids = {name: i for i, name in enumerate(SPECIAL)}
    asked = [ids[BEGIN], *tokenizer.encode(" " + text), ids[ANSWER]]
    told = [*tokenizer.encode(target), ids[END]]
    if len(asked) + len(told) > LONGEST:
        return None
    return Encoded((*asked, *told), len(asked))


def mistyped(text: str, target: str, rng: random.Random) -> str:
    """Spoil a letter of one word that is not copied."""
    words = text.split(" ")
    at = rng.randrange(len(words))
    word = words[at]
    if len(word) < 4 or word in target or not word.isalpha():
        return text
    i = rng.randrange(len(word) - 1)
    words[at] = rng.choice(
        (
            word[:i] + word[i + 1 :],
            word[:i] + word[i + 1] + word[i] + word[i + 2 :],
            word[: i + 1] + word[i:],
        )
    )
    return " ".join(words)


def batches(
    tokenizer: Tokenizer, seed: int, drill: float
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Give tokens and wanted next tokens, (BATCH, time) int64 each."""
    rng = random.Random(seed + 1)
    source = examples(seed, drill)
    while True:
        chunk: list[Encoded] = []
        while len(chunk) < CHUNK:
            encoded = encode(next(source), tokenizer, rng)
            chunk += [encoded] if encoded else []
        chunk.sort(key=lambda one: len(one.tokens))
        groups = [chunk[i : i + BATCH] for i in range(0, CHUNK, BATCH)]
        rng.shuffle(groups)
        yield from map(padded, groups)


def padded(group: list[Encoded]) -> tuple[torch.Tensor, torch.Tensor]:
    """Bring a batch to one length; only the answer counts."""
    longest = max(len(one.tokens) for one in group)
    tokens = torch.full((len(group), longest - 1), SPECIAL.index(PAD))
    wanted = torch.full((len(group), longest - 1), -100)
    for row, one in enumerate(group):
        end = len(one.tokens) - 1
        tokens[row, :end] = torch.tensor(one.tokens[:-1])
        wanted[row, one.answer - 1 : end] = torch.tensor(one.tokens[one.answer :])
    return tokens, wanted


def tokenizer_for(work: Path, seed: int, size: int) -> Tokenizer:
    """Learn the tokenizer, or read it where it was learned before."""
    path = work / "merges.json"
    if not path.exists():
        source = examples(seed)
        texts: list[str] = []
        while len(texts) < 60_000:
            example = next(source)
            try:
                texts += [" " + example.masked.text, example.target]
            except KeyError:
                continue
        path.write_text(json.dumps(learn(texts, size).merges))
    return Tokenizer([(a, b) for a, b in json.loads(path.read_text())])


def rate_at(step: int, course: Course) -> float:
    """Give the learning rate: a short rise, then a cosine down to a fiftieth."""
    if step < WARM_STEPS:
        return course.rate * (step + 1) / WARM_STEPS
    share = (step - WARM_STEPS) / max(1, course.steps - WARM_STEPS)
    return course.rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


@dataclass(frozen=True, slots=True)
class Course:
    """How to train."""

    work: Path
    """Folder for what is made."""
    steps: int
    """Batches."""
    seed: int
    """For the first weights, and which commands are told."""
    rate: float = RATE
    """Highest learning rate."""
    layers: int = 3
    drill: float = 0.0
    """Share of hard commands, see `Teller`."""
    again: Path | None = None
    """Weights to go on from, of a training or a shipped file."""
    keep_every: int = 250
    """Steps between two times that the weights are kept."""


def train(course: Course) -> None:
    """Train and keep the averaged weights every so often in `work/planner.pt`."""
    torch.manual_seed(course.seed)
    torch.set_num_threads(1)
    shape = Shape(layers=course.layers)
    net = Net(shape)
    if course.again is not None:
        restore(net, course.again)
        (course.work / "merges.json").write_text(json.dumps(merges_of(course.again)))
    tokenizer = tokenizer_for(course.work, TRAINING_SEED, shape.vocabulary)
    average = {name: weight.detach().clone() for name, weight in net.named_parameters()}
    optimizer = torch.optim.AdamW(
        net.parameters(), lr=course.rate, betas=(0.9, 0.98), weight_decay=0.05
    )
    source = batches(tokenizer, TRAINING_SEED + course.seed, course.drill)
    began, recent = time.process_time(), 0.0
    for step in range(course.steps):
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, course)
        tokens, wanted = next(source)
        loss = net.loss(tokens, wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        keep = min(AVERAGE, step / (step + 50))
        with torch.no_grad():
            for name, weight in net.named_parameters():
                average[name].lerp_(weight, 1 - keep)
        recent = 0.98 * recent + 0.02 * loss.item() if step else loss.item()
        cpu_s = time.process_time() - began
        if (step + 1) % 50 == 0:
            log.info("step %d loss %.4f cpu %.0f s", step + 1, recent, cpu_s)
        if (step + 1) % course.keep_every == 0 or step + 1 == course.steps:
            state = {"step": step + 1, "cpu_s": cpu_s, "shape": asdict(shape)}
            torch.save({"weights": average, **state}, course.work / "next.pt")
            (course.work / "next.pt").replace(course.work / "planner.pt")


def main() -> None:
    """Train with what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("build/planner"))
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rate", type=float, default=RATE)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--drill", type=float, default=0.0, help="share of hard commands")
    parser.add_argument("--again", type=Path, help="weights to go on from: .pt or .gguf")
    parser.add_argument("--keep-every", type=int, default=250)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    args.work.mkdir(parents=True, exist_ok=True)
    train(Course(**vars(args)))


if __name__ == "__main__":
    main()
