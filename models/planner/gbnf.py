"""The grammar of the plans that a sentence allows: no name or number that does not occur in it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from olympus.models.planner.words import NUMBER, PLACE, SOUND, THING, Masked

LONGEST_NAME = 3
"""Words of a name that the site does not know."""
_NO_NAMES = (
    "a an the and or then to in at of on for until till you your i we it is are if when "
    "with from into me us please not that this there here some any all go drive patrol wait "
    "stop turn left right around continue see hear once after before second seconds minute "
    "minutes times rounds"
)
_NO_NAME = frozenset(_NO_NAMES.split())
"""Words that no unknown name begins or ends with."""


def grammar(masked: Masked) -> str:
    """Write the grammar for one sentence, in llama.cpp's GBNF.

    Args:
        masked: The sentence.

    Returns:
        Rules whose `root` is a JSON list of steps, with slots in place of names and numbers.
    """
    has_numbers = any(slot[0] == NUMBER for slot in masked.values)
    strangers = [f'"{name}"' for name in unknown_names(masked)]
    rules = {
        "root": '"[]" | "[" step ("," step)* "]"',
        "step": "patrol | go | turn | wait | stop",
        "patrol": rf'{_begin("patrol")} ("," place)? {"rounds? " * has_numbers}until? "}}"',
        "go": rf'{_begin("go")} "," (place{" | at" * has_numbers}) "}}"',
        "turn": rf'{_begin("turn")} {_text(",direction")} {_side} {"degrees? " * has_numbers}"}}"',
        "wait": rf'{_begin("wait")} ({"seconds | minutes | " * has_numbers}until) "}}"',
        "stop": rf'({_begin("stop")} | {_begin("continue")}) "}}"',
        "until": rf'",\"until\":{{" ({_named("sees", "thing")} | {_named("hears", "sound")}) "}}"',
        "place": _named("place", "placename"),
        "placename": _choice(_slots(masked, PLACE), strangers),
        "thing": _choice(_slots(masked, THING), strangers),
        "sound": _choice(_slots(masked, SOUND), strangers),
    }
    if has_numbers:
        rules |= {name: rf'",\"{name}\": " number' for name in _FIGURES}
        rules["at"] = r'"\"x\": " number ",\"y\": " number'
        rules["number"] = _choice(_slots(masked, NUMBER), [])
    return "\n".join(f"{name} ::= {rule}" for name, rule in rules.items()) + "\n"


_FIGURES = ("rounds", "degrees", "seconds", "minutes")
_side = r'("\"left\"" | "\"right\"" | "\"around\"")'


def unknown_names(masked: Masked) -> list[str]:
    """List what might be a name that the site does not know: short runs of plain words."""
    words = masked.words
    found: dict[str, None] = {}
    for start in range(len(words)):
        for length in range(1, LONGEST_NAME + 1):
            run = words[start : start + length]
            if len(run) == length and _may_be_name(run):
                found[" ".join(run)] = None
    return list(found)


def _may_be_name(run: list[str]) -> bool:
    is_plain = all(re.fullmatch(r"[^\W\d_]+|N\d", word) and word[0] not in "PTS" for word in run)
    return is_plain and run[0] not in _NO_NAME and run[-1] not in _NO_NAME and run[0][0] != "N"


def _begin(verb: str) -> str:
    return rf'"{{\"do\":\"{verb}\""'


def _text(name: str) -> str:
    comma, name = name[:1], name[1:]
    return rf'"{comma}\"{name}\":"'


def _named(field: str, rule: str) -> str:
    return rf'"\"{field}\":\" " {rule} "\""'


def _slots(masked: Masked, kind: str) -> list[str]:
    return [f'"{slot}"' for slot in masked.values if slot[0] == kind]


def _choice(*groups: Iterable[str]) -> str:
    """Join alternatives; with none, one that can't be continued into a right plan."""
    return " | ".join(one for group in groups for one in group) or r'"\x00"'
