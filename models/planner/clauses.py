"""Parts a sentence into clauses where it says plainly that one thing follows the other."""

from __future__ import annotations

import re
from itertools import count

from olympus.models.planner.words import Masked

MOST_PLACES = 5
"""More slots of a kind are hardly met in training."""
_JOINT = re.compile(
    r" (?:[,.;] )?(?:and )?(?:then|after that|after this|after which|afterwards|afterward"
    r"|subsequently|thereafter|next|later|finally|lastly|in the end|at last) (?:, )?(?:you )?"
    r"| [.;] "
)
_OTHER_ORDER = re.compile(r"\b(?:before|after (?!that|this|which)|first|followed)\b")
"""Here the order of words is not that of the steps, so it is not parted."""
_SWAPPED = re.compile(
    r"(?P<second>(?:(?!\b(?:before|first|after)\b).)+?) (?:, )?(?:but|only|just) "
    r"(?:first of all|first|before that|before) (?:you )?"
    r"(?P<first>(?:(?!\b(?:before|first|after)\b).)+)$"
    r"|before (?:you )?(?P<second_>(?:(?!\b(?:before|first|after|then)\b)[^,.;])+?) , "
    r"(?:first )?(?:you )?(?P<first_>(?:(?!\b(?:before|first|after|then)\b)[^,.;])+)$"
)
"""Two clauses of which the second is done first; where it says so once, and plainly."""
_ENDING = re.compile(
    r"^(?:and )?(?:you )?(?:stop|halt|freeze|end|quit|hold|finish|break|pull|come|stand|stay"
    r"|that is)\b.*\b(?:when|if|once|as soon|the moment|after|in case|the second|the instant|as)\b"
)
"""`stop when you see somebody` is no step of its own: it says how long the one before goes on."""
_SLOT = re.compile(r"\b[PTSN]\d\b")


def clauses(masked: Masked) -> list[Masked]:
    """Part a masked sentence; each clause counts its slots anew, as the model learned them.

    Args:
        masked: The sentence.

    Returns:
        Two clauses or more, in the order of their steps; none where it can't be parted.
    """
    if swapped := _SWAPPED.match(masked.text):
        parts = [
            swapped[name] for name in ("first", "first_", "second", "second_") if swapped[name]
        ]
        return [_renumbered(part.strip(" ,.;"), masked) for part in parts]
    if _OTHER_ORDER.search(masked.text):
        return []
    parts = [part for text in _JOINT.split(masked.text) if (part := text.strip(" ,.;"))]
    if len(parts) < 2 or any(_ENDING.match(part) for part in parts[1:]):
        return []
    return [_renumbered(part, masked) for part in parts]


def told_apart(masked: Masked) -> list[Masked]:
    """Give each mention of a place a slot of its own: `P1 , P2 and P1` reads like three places.

    Args:
        masked: The sentence.

    Returns:
        It, so written; nothing where no place is named twice.
    """
    named = re.findall(r"\bP\d\b", masked.text)
    if len(named) == len(set(named)) or len(named) > MOST_PLACES:
        return []
    values = {slot: value for slot, value in masked.values.items() if slot[0] != "P"}
    numbers = count(1)

    def apart(slot: re.Match[str]) -> str:
        new = f"P{next(numbers)}"
        values[new] = masked.values[slot[0]]
        return new

    return [Masked(re.sub(r"\bP\d\b", apart, masked.text), values)]


def _renumbered(text: str, masked: Masked) -> Masked:
    slots: dict[str, str] = {}
    for old in _SLOT.findall(text):
        if old in masked.values and old not in slots:
            slots[old] = f"{old[0]}{1 + sum(other[0] == old[0] for other in slots)}"
    new = _SLOT.sub(lambda slot: slots.get(slot[0], slot[0]), text)
    return Masked(new, {slots[old]: masked.values[old] for old in slots})
