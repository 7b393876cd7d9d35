"""Examines the planner: unseen commands, unseen names, and sentences that people wrote.

Run `python -m olympus.models.training.commands.evaluate`; needs llama-cpp-python, not torch.
"""

from __future__ import annotations

import argparse
import logging
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from olympus.models.llama import LlamaModel, open_language_model
from olympus.models.planner.plan import Plan, read_short, short
from olympus.models.planner.planner import Planner, Understood
from olympus.models.planner.words import SOUNDS, THINGS, Vocabulary
from olympus.models.registry import Registry
from olympus.models.training.commands.generator import Teller
from olympus.models.training.commands.wording import is_held_out

log = logging.getLogger(__name__)
HERE = Path(__file__).resolve().parent
SITE = Vocabulary(
    places=dict.fromkeys(
        (
            *("start", "end", "middle", "home", "corridor", "lab", "kitchen", "office", "lobby"),
            *("workshop", "storage room", "server room", "loading dock", "charging station"),
            *("meeting room", "front door", "west wing"),
        ),
        (),
    ),
    things=dict(THINGS) | {"box": ("boxes",), "dog": ("dogs",), "forklift": (), "door": ("doors",)},
    sounds=dict(SOUNDS),
)
"""The site of `paraphrases.txt`."""


CONDITIONS = "conditions.txt"
"""Sentences that name a command and give none, and near ones that are commands."""


@dataclass(frozen=True, slots=True)
class Question:
    """A sentence, who hears it, and the right plan; an empty one means that it should ask back."""

    sentence: str
    site: Vocabulary
    plan: Plan


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question."""

    question: Question
    got: Understood

    @property
    def is_exact(self) -> bool:
        """Whether the plan is the right one, doubt or not."""
        return short(self.got.plan).lower() == short(self.question.plan).lower()

    @property
    def is_given(self) -> bool:
        """Whether it would be carried out without asking."""
        return bool(self.got.plan) and not self.got.doubt


@dataclass(frozen=True, slots=True)
class Score:
    """Counts over a set of questions."""

    n: int
    commands: int
    """Questions that are commands the rover can carry out."""
    exact: float
    """Share of the commands whose plan is exact, whether it would have asked or not."""
    given: float
    """Share of the commands that are answered without asking back."""
    right: float
    """Of all answers given without asking back, nonsense included: the share that is exact."""
    answered: int
    """How many answers that are."""
    refused: float
    """Share of what is no command after which it asks back; 1 where there is none."""


def told(n: int, seed: int, *, unseen: bool = False, unknown: float = 0.0) -> list[Question]:
    """Make questions with the generator: unseen sentences, of sites of their own.

    Args:
        n: How many.
        seed: Another than training's.
        unseen: Use only names that training never met.
        unknown: Share of names that the site does not know.
    """
    rng = random.Random(seed)
    found: list[Question] = []
    while len(found) < n:
        teller = Teller(rng, unseen=unseen, unknown=unknown, bad=0.0)
        for _ in range(4):
            example = teller.example()
            if is_held_out(example.masked.text) and len(example.sentence) <= 200:
                question = Question(example.sentence, teller.names.vocabulary, example.plan)
                found.append(question)
    return found[:n]


def written(half: int | None = None, file: str = "paraphrases.txt") -> list[Question]:
    """Read the sentences that people wrote.

    Args:
        half: 0 for those whose errors were looked at, 1 for the others; both when left out.
        file: Or `CONDITIONS`.
    """
    lines = (HERE / file).read_text(encoding="utf-8").splitlines()
    rows = [line.split(" | ") for line in lines if line and not line.startswith("#")]
    return [
        Question(sentence, SITE, read_short(plan))
        for i, (sentence, plan) in enumerate(rows)
        if half is None or i % 2 == half
    ]


def examine(model: LlamaModel, questions: Iterable[Question], sure: float | None) -> list[Answer]:
    """Ask everything."""
    return [
        Answer(one, Planner(model, one.site, sure=sure).understand(one.sentence))
        for one in questions
    ]


def score(answers: Sequence[Answer]) -> Score:
    """Count."""
    commands = [one for one in answers if one.question.plan]
    others = [one for one in answers if not one.question.plan]
    given = [one for one in answers if one.is_given]
    return Score(
        n=len(answers),
        commands=len(commands),
        exact=_share(one.is_exact for one in commands),
        given=_share(one.is_given for one in commands),
        right=_share(one.is_exact for one in given),
        answered=len(given),
        refused=_share(not one.is_given for one in others),
    )


def _share(values: Iterable[bool]) -> float:
    counted = list(values)
    return sum(counted) / len(counted) if counted else 1.0


def sets(n: int) -> dict[str, list[Question]]:
    """Give all sets by name."""
    return {
        "held-out commands": told(n, 501),
        "unseen names, known to the site": told(n, 502, unseen=True),
        "unseen names, unknown to the site": told(n, 503, unseen=True, unknown=1.0),
        "written by people, looked at": written(0),
        "written by people, never looked at": written(1),
    }


def main() -> None:
    """Print the scores, and with `--errors` what went wrong in the half that may be looked at."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="planner", help="name or path")
    parser.add_argument("--n", type=int, default=300, help="questions of each generated set")
    parser.add_argument("--sure", type=float, help="odds below which it asks back")
    parser.add_argument("--errors", action="store_true")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    model = open_language_model(args.model, registry=Registry())
    log.info("%-36s %5s %7s %7s %7s %9s %8s", *"set n exact given right answered refused".split())
    conditions = {
        "conditions, looked at": written(0, CONDITIONS),
        "conditions, never looked at": written(1, CONDITIONS),
    }
    for name, questions in (sets(args.n) | conditions).items():
        answers = examine(model, questions, args.sure)
        s = score(answers)
        row = (s.n, s.exact, s.given, s.right, s.answered, s.refused)
        log.info("%-36s %5d %7.3f %7.3f %7.3f %9d %8.3f", name, *row)
        if args.errors and "never" not in name:
            _show_errors(answers)


def _show_errors(answers: Sequence[Answer]) -> None:
    for one in answers:
        if not one.is_exact and (one.question.plan or one.is_given):
            wanted, got = short(one.question.plan), short(one.got.plan)
            log.info("   %s\n      wanted %s\n      got    %s", one.question.sentence, wanted, got)
            log.info("      sure %.2f %s", one.got.sure, one.got.doubt)


if __name__ == "__main__":
    main()
