"""Understands an operator's sentence with the planner model, or asks back."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

from olympus.models.planner.clauses import clauses, told_apart
from olympus.models.planner.gbnf import grammar
from olympus.models.planner.plan import Plan, read_plan, spoken
from olympus.models.planner.texts import Writer, Writing
from olympus.models.planner.turning import turning
from olympus.models.planner.words import Mask, Masked, Vocabulary
from olympus.models.wish import Completion, Wish
from olympus.runtime.errors import ModelError

LONGEST_SENTENCE = 200
SURE_OF_NOTHING = 0.97
"""Where the odds of the empty plan are below these, the likeliest other plan is asked about."""
SURE = 0.9
"""Least odds that each token of a plan must have; where the manifest says no other."""
MOST_STEPS = 1000
"""Tokens and micro-batches that a sentence takes at most: `steps` of its job in a launch file."""
DRAFTS = 8
"""How many other plans are drawn where the likeliest leaves out something that was named."""
_SLOT = re.compile(r"\b[PTSN]\d\b")
_UNSURE = "I am not sure at all"


@dataclass(frozen=True, slots=True)
class Understood:
    """What was made of a sentence."""

    plan: Plan
    """Empty: nothing was understood."""
    sure: float
    """Least odds of any token of the plan, 0..1."""
    doubt: str
    """Why it should not be carried out as it is; empty when there is no reason not to."""
    leaves_out: bool = False
    """Whether something that was named has no place in the plan."""

    @property
    def text(self) -> str:
        """Say it in words: what will be done, or what to ask."""
        if not self.plan:
            return self.doubt
        if self.doubt:
            return f"did you mean: {spoken(self.plan)}? ({self.doubt})"
        return f"understood: {spoken(self.plan)}"


class Planner:
    """Turns sentences into plans for one site.

    The form of a plan is certain: a grammar made for each sentence leaves the model no name and
    no number that does not occur in it. Its meaning is not: where the model is unsure, or something
    that was said has no place in the plan, it asks back. Nothing that must be safe may rest on it.
    """

    def __init__(
        self, writer: Writer, vocabulary: Vocabulary, *, sure: float | None = None
    ) -> None:
        """Take what writes plans, and the site's names.

        Args:
            writer: A model of task `plan`, or a router's `RoutedWriter` for that task.
            vocabulary: Places, things and sounds.
            sure: Below these odds it asks back; when left out the `options.sure` of the model's
                manifest, or `SURE`.
        """
        self._writer, self._mask = writer, Mask(vocabulary)
        if sure is None:
            manifest = getattr(writer, "manifest", None)
            sure = SURE if manifest is None else manifest.option("sure", SURE)
        self._sure = sure

    def understand(self, sentence: str) -> Understood:
        """Understand a sentence.

        Args:
            sentence: What was typed or said.

        Raises:
            ModelError: The model fails.
        """
        thinking = self.begin(sentence)
        try:
            while thinking.step():
                pass
            return thinking.result()
        finally:
            thinking.close()

    def begin(self, sentence: str) -> Thinking:
        """Begin to understand a sentence; the scheduler steps it.

        Raises:
            ModelError: The model fails.
        """
        if len(sentence) > LONGEST_SENTENCE:
            text = f"that is longer than {LONGEST_SENTENCE} letters; say less"
            return Thinking(self, Understood((), 0.0, text))
        masked = self._mask.of(sentence)
        if not masked.text:
            return Thinking(self, Understood((), 0.0, "nothing was said"))
        return Thinking(self, None, masked)

    def generation(self, masked: Masked, *, may_refuse: bool = True, draft: int = 0) -> Writing:
        """Let the model begin to write the plan of a sentence or a clause.

        Args:
            masked: The sentence.
            may_refuse: Whether it may say that there is no plan in it.
            draft: 0 for the likeliest plan; another number draws one, always the same.

        Raises:
            ModelError: The model fails.
        """
        rules = grammar(masked, may_refuse=may_refuse)
        wish = Wish(special=True, max_tokens=100, grammar=rules, watch_odds=True)
        if draft:
            wish = replace(wish, temperature=1.0, top_k=20, top_p=0.98, seed=draft)
        return self._writer.generate(f"<|begin|> {masked.text}<|answer|>", wish)

    def judged(self, masked: Masked, text: str, sure: float) -> Understood:
        """Make a plan of what the model wrote, or say why there is none."""
        try:
            plan = read_plan(filled(text, masked))
        except ModelError:
            return Understood((), 0.0, "no plan comes out of that; say it in other words")
        if not plan:
            return Understood((), sure, "that is nothing I can do, or I did not understand it")
        used = set(_SLOT.findall(text))
        lost = [value for slot, value in masked.values.items() if slot not in used]
        return Understood(plan, sure, self._doubt(masked, lost, sure), bool(lost))

    def _doubt(self, masked: Masked, lost: list[str], sure: float) -> str:
        if lost:
            return f"I don't know what to do with {', '.join(map(repr, lost))}"
        if word := turning(masked.text):
            return f"{word!r} is more than I can be sure of"
        if sure < self._sure:
            return f"I am only {sure:.0%} sure"
        return ""


class Thinking:
    """A sentence that is being understood; the scheduler's `Stepped`.

    The whole sentence first; where that leaves a doubt, its clauses one by one, if it has some.
    What comes of them counts if the model is surer of each than of the whole. Where it found no
    plan but was not sure that there is none, the likeliest one is asked about; where its plan
    leaves out something that was named, the likeliest of some others that leave out nothing.
    """

    def __init__(
        self, planner: Planner, known: Understood | None, masked: Masked | None = None
    ) -> None:
        """Take what is known already, or the sentence; use `Planner.begin`."""
        self._planner, self._known, self._sentence = planner, known, masked
        self._left = [masked] if masked is not None else []
        self._whole: Understood | None = None
        self._parts: list[Understood] = []
        self._guess: Masked | None = None
        """What is to be guessed at."""
        self._draft, self._odds = 0, -math.inf
        """Which other plan is being drawn, and the logarithm of the odds of the best so far."""
        self._other: Understood | None = None
        self._generation: Writing | None = None
        self._steps = 0

    def step(self) -> bool:
        """Let the model read a micro-batch or write a token."""
        if self._generation is None:
            if (masked := self._next) is None:
                return False
            self._generation = self._planner.generation(
                masked, may_refuse=not self._guess, draft=self._draft
            )
        if not self._generation.step():
            answer, self._generation = self._generation.result(), None
            self._take(answer)
        self._steps += 1
        if self._steps >= MOST_STEPS:
            self._look_no_further()
        return self._next is not None

    def _look_no_further(self) -> None:
        """Leave it at the plan of the whole sentence and what was doubtful about it."""
        self.close()
        self._generation, self._guess, self._draft = None, None, 0
        self._left, self._parts = [], []

    @property
    def _next(self) -> Masked | None:
        """What is to be written a plan for; None at the end."""
        if self._known is not None:
            return None
        return (
            self._guess or next(iter(self._left), None) or (self._draft and self._sentence) or None
        )

    def result(self) -> Understood:
        """Give what was understood."""
        return self._known or self._other or self._best()

    def close(self) -> None:
        """Give up."""
        if self._generation is not None:
            self._generation.close()

    def _take(self, answer: Completion) -> None:
        sure = min(answer.odds)
        if self._draft and self._sentence is not None:
            found = self._planner.judged(self._sentence, answer.text, sure)
            self._weigh(found, sum(math.log(max(odds, 1e-9)) for odds in answer.odds))
            return
        if self._guess is not None:
            guess = self._planner.judged(self._guess, answer.text, sure)
            self._guess = None
            if guess.plan:
                self._whole = replace(guess, doubt=guess.doubt or _UNSURE)
        else:
            self._take_part(self._left.pop(0), answer.text, sure)
        is_over = not self._left and self._guess is None
        self._draft = 1 if is_over and self._best().leaves_out else 0

    def _take_part(self, masked: Masked, text: str, sure: float) -> None:
        found = self._planner.judged(masked, text, sure)
        if self._whole is not None:
            self._parts.append(found)
            return
        self._whole = found
        if found.doubt:
            self._left = clauses(masked) or told_apart(masked)
        if not found.plan and not self._left and 0 < sure < SURE_OF_NOTHING:
            self._guess = masked

    def _weigh(self, found: Understood, odds: float) -> None:
        """Keep a drawn plan that leaves nothing out, if it is the likeliest such, to ask about."""
        self._draft = (self._draft + 1) % (DRAFTS + 1)
        if found.plan and not found.leaves_out and odds > self._odds:
            self._odds, self._other = odds, replace(found, doubt=found.doubt or _UNSURE)

    def _best(self) -> Understood:
        whole, parts = self._whole, self._parts
        if whole is None:
            return Understood((), 0.0, "nothing was said")
        sure = min((part.sure for part in parts), default=0.0)
        if not all(part.plan for part in parts) or sure <= whole.sure:
            return whole
        doubt = next((part.doubt for part in parts if part.doubt), "")
        steps = tuple(step for part in parts for step in part.plan)
        return Understood(steps, sure, doubt, any(part.leaves_out for part in parts))


def filled(text: str, masked: Masked) -> str:
    """Put what the slots stand for back into a plan.

    Args:
        text: As the model writes it.
        masked: The sentence.

    Returns:
        JSON.
    """
    numbered = re.sub(r"(?<=\":) (N\d)", lambda slot: masked.values.get(slot[1], "null"), text)
    return re.sub(
        r'" ([^"]*)"',
        lambda name: '"' + _SLOT.sub(lambda slot: masked.values.get(slot[0], ""), name[1]) + '"',
        numbered,
    )
