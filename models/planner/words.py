"""What a site's names are, and how a sentence looks once they and its numbers are masked.

The model never sees a known name or a number: it sees `go to P1 and wait N1 seconds`. So it can't
invent one, a name it never met in training is as easy as any other, and what the slots stand for is
put back afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

THINGS: Final[Mapping[str, tuple[str, ...]]] = {
    "person": (
        *("people", "persons", "somebody", "someone", "anybody", "anyone", "human", "humans"),
        *("man", "woman", "visitor", "visitors", "intruder", "intruders", "pedestrian"),
        *("pedestrians", "child", "children"),
    ),
    "obstacle": ("obstacles",),
}
"""Labels of the shipped detector, and other words for them."""
SOUNDS: Final[Mapping[str, tuple[str, ...]]] = {
    "siren": ("sirens",),
    "alarm": ("alarms", "fire alarm", "alarm bell", "smoke alarm"),
    "glass": (
        "breaking glass",
        "glass breaking",
        "broken glass",
        "glass break",
        "glass shattering",
    ),
    "crash": ("crashes", "crashing", "bang"),
    "clap": (
        "claps",
        "clapping",
        "applause",
        "someone claps",
        "somebody claps",
        "someone clapping",
    ),
    "help": ("call for help", "cry for help", "shout for help", "calls for help", "cries for help"),
}
"""Labels of the shipped sound model that somebody may wait for, and other words for them."""
PLACE, THING, SOUND, NUMBER = "P", "T", "S", "N"

_UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
_UNITS += " fifteen sixteen seventeen eighteen nineteen"
_ONES = {word: i for i, word in enumerate(_UNITS.split())}
_TENS = {
    word: 10 * i
    for i, word in enumerate(
        ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], 2
    )
}
_WORD = r"[^\W\d_]+(?:'[^\W\d_]+)?"
_TOKEN = re.compile(rf"[-+]?\d+(?:\.\d+)?|{_WORD}|[^\w\s]", re.UNICODE)
_PLAIN_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?\Z")
_VERBLIKE = frozenset(
    ("start", "end", "finish", "stop", "help", "crash", "clap", "centre", "middle")
)
"""Names that are verbs as well; they are a name only behind a word of `_LEADS`."""
_LEADS = frozenset(
    [
        "the",
        "to",
        "at",
        "in",
        "into",
        "near",
        "via",
        "a",
        "an",
        "our",
        "hear",
        "hears",
        "of",
        "from",
        "by",
        "shouts",
        "yells",
    ]
)
_BARE = frozenset(("go", "come", "drive", "head", "return", "get", "back", "move"))
_POLITE = re.compile(r"\s*\b(?:please|kindly|thank you|thanks)\b[\s,]*")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The names of a site; each has other words for it."""

    places: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    things: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(THINGS))
    sounds: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: dict(SOUNDS))

    def phrases(self) -> dict[tuple[str, ...], tuple[str, str]]:
        """Map what may be said, as words, to kind and name.

        A name itself comes before another word for something; places come first, then things.
        """
        kinds = ((PLACE, self.places), (THING, self.things), (SOUND, self.sounds))
        known: dict[tuple[str, ...], tuple[str, str]] = {}
        for kind, names in kinds:
            for name in names:
                known.setdefault(tuple(split(name)), (kind, name))
        for kind, names in kinds:
            for name, others in names.items():
                for phrase in others:
                    known.setdefault(tuple(split(phrase)), (kind, name))
        return known


@dataclass(frozen=True, slots=True)
class Masked:
    """A sentence with slots in place of what it names."""

    text: str
    """Lower case, words and marks parted by one space: `go to the P1 , then wait N1 seconds`."""
    values: Mapping[str, str]
    """What each slot stands for: `{"P1": "lab", "N1": "10"}`."""

    @property
    def words(self) -> list[str]:
        """The words and marks."""
        return self.text.split(" ") if self.text else []


def split(text: str) -> list[str]:
    """Part a sentence into lower-case words, numbers and marks."""
    return _TOKEN.findall(text.lower().replace("\u2019", "'").replace("_", " "))


def mask(sentence: str, vocabulary: Vocabulary) -> Masked:
    """Replace known names and all numbers by slots, the same one for the same value.

    Args:
        sentence: What was said.
        vocabulary: The site's names.

    Returns:
        The masked sentence; politeness is left out.
    """
    return Mask(vocabulary).of(sentence)


class Mask:
    """Masks sentences of one site."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """Prepare the names."""
        self._phrases = vocabulary.phrases()
        self._longest = max(map(len, self._phrases), default=0)

    def of(self, sentence: str) -> Masked:
        """Mask a sentence."""
        words = split(_POLITE.sub(" ", sentence.lower()))
        slots = _Slots()
        out: list[str] = []
        at = 0
        while at < len(words):
            found = self._name(words, at) or _number(words, at)
            if found is None:
                out.append(words[at])
                at += 1
                continue
            kind, value, length = found
            if kind == PLACE and out and out[-1] in _BARE:
                out += ["to", "the"]  # `go home` is `go to the P1`, which every name has
            out += [slots.slot(kind, value)] + ["times"] * (words[at] in _TIMES)
            at += length
        return Masked(" ".join(_trimmed(out)), slots.values)

    def _name(self, words: list[str], at: int) -> tuple[str, str, int] | None:
        for length in range(min(self._longest, len(words) - at), 0, -1):
            hit = self._phrases.get(tuple(words[at : at + length]))
            if hit and (length > 1 or _is_name(words, at)):
                return (*hit, length)
        return None


class _Slots:
    """Numbers slots of each kind as they are met."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def slot(self, kind: str, value: str) -> str:
        for slot, other in self.values.items():
            if slot[0] == kind and other == value:
                return slot
        slot = f"{kind}{1 + sum(other[0] == kind for other in self.values)}"
        self.values[slot] = value
        return slot


_AFTER_PRONOUN = frozenset(("and", "then", "after", "of", "is", "in", "before"))
_TIMES = {"twice": "2", "thrice": "3"}


def _is_name(words: list[str], at: int) -> bool:
    return words[at] not in _VERBLIKE or (at > 0 and words[at - 1] in _LEADS)


def _number(words: list[str], at: int) -> tuple[str, str, int] | None:
    """Read a number, in figures or in words, that begins at a word."""
    word = words[at]
    if _is_pronoun(words, at):
        return None
    if _PLAIN_NUMBER.match(word):
        return NUMBER, f"{float(word):g}", 1
    if word in _TIMES:
        return NUMBER, _TIMES[word], 1
    if word in _ONES:
        return NUMBER, str(_ONES[word]), 1
    if word not in _TENS:
        return None
    rest = words[at + 1 :]
    skip = 1 if rest[:1] == ["-"] else 0
    if len(rest) > skip and 0 < _ONES.get(rest[skip], 0) < 10:
        return NUMBER, str(_TENS[word] + _ONES[rest[skip]]), 2 + skip
    return NUMBER, str(_TENS[word]), 1


def _is_pronoun(words: list[str], at: int) -> bool:
    """Tell `when you see one` from `for one minute`."""
    following = words[at + 1] if at + 1 < len(words) else "."
    return words[at] == "one" and not (following[0].isalpha() and following not in _AFTER_PRONOUN)


def _trimmed(words: list[str]) -> Iterable[str]:
    """Leave out marks at both ends."""
    marks = set(".,;:!?\"'-")
    while words and words[0] in marks:
        words = words[1:]
    while words and words[-1] in marks:
        words = words[:-1]
    return words
