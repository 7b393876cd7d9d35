"""Forms of words and sentences: gerunds, numbers in words, plans with slots."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from olympus.models.planner.plan import Condition, Plan, to_json
from olympus.models.planner.words import Masked, split


@dataclass(frozen=True, slots=True)
class Said:
    """A part of a sentence."""

    text: str
    steps: Plan
    is_verb: bool
    """Whether it begins with a verb in its base form."""


@dataclass(frozen=True, slots=True)
class Example:
    """A sentence, masked, and what the model should answer."""

    sentence: str
    masked: Masked
    plan: Plan

    @property
    def target(self) -> str:
        """The plan as the model writes it: JSON with slots in place of names and numbers."""
        return slotted(self.plan, self.masked)


def slotted(plan: Plan, masked: Masked) -> str:
    """Write a plan with the sentence's slots; names that the site doesn't know stay words.

    Each is written behind a space, as in the sentence, so that it has the same tokens in both.
    """
    slots = {(slot[0], value): slot for slot, value in masked.values.items()}

    def name(kind: str, value: str) -> str:
        return " " + (slots.get((kind, value)) or " ".join(split(value)))

    text = to_json(
        [
            step.model_copy(
                update={
                    "place": step.place and name("P", step.place),
                    "until": step.until
                    and Condition(
                        sees=step.until.sees and name("T", step.until.sees),
                        hears=step.until.hears and name("S", step.until.hears),
                    ),
                }
            )
            for step in plan
        ]
    )
    figures = re.compile(r'(?<=":)-?\d+(?:\.\d+)?')
    return figures.sub(lambda figure: " " + slots[("N", f"{float(figure[0]):g}")], text)


def tidy(text: str) -> str:
    """Put spaces right and leave out articles before `home`."""
    text = re.sub(r"\b(?:the |our |a |an |any |some )(home)\b", r"\1", text)
    text = re.sub(r"\b(?:over |back |on )?to home\b", "home", text) if len(text) % 3 else text
    text = re.sub(r"\s+", " ", text)
    return re.sub(r" ([,.;?])", r"\1", text).strip(" ,")


@cache
def gerund(text: str) -> str:
    """Turn `go to the lab` into `going to the lab`."""
    word, _, rest = text.partition(" ")
    if word in ("be", "see"):
        changed = word + "ing"
    elif word.endswith("e") and not word.endswith(("ee", "oe", "ye")):
        changed = word[:-1] + "ing"
    elif word in _DOUBLED:
        changed = word + word[-1] + "ing"
    else:
        changed = word + "ing"
    return f"{changed} {rest}".strip()


_DOUBLED = frozenset(
    "get run stop sit spin patrol scan skip hop slip step drop dip let put zip swim nip cut".split()
)
_SMALL = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen".split()
_SMALL += "sixteen seventeen eighteen nineteen".split()
_TENS = "_ _ twenty thirty forty fifty sixty seventy eighty ninety".split()


def in_words(number: int) -> str:
    """Write a whole number below 100 in words; others in figures."""
    if number < 0 or number > 99:
        return str(number)
    if number < 20:
        return _SMALL[number]
    ones = number % 10
    return _TENS[number // 10] + (f" {_SMALL[ones]}" if ones else "")


def is_held_out(text: str) -> bool:
    """Tell whether a masked sentence is never trained on: one in fifty, by its letters."""
    return sum(text.encode()) % 50 == 7
