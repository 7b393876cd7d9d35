"""The grammar of the plans that a sentence allows: no name or number that does not occur in it."""

from __future__ import annotations

import re
from collections.abc import Collection

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


def grammar(masked: Masked, *, may_refuse: bool = True) -> str:
    """Write the grammar for one sentence, in llama.cpp's GBNF.

    Args:
        masked: The sentence.
        may_refuse: Whether the empty plan is one of the answers.

    Returns:
        Rules whose `root` is a JSON list of steps, with slots in place of names and numbers. What
        the sentence offers nothing for (no number, no name) has no rule, so that no way ends blind.
    """
    strangers = [f'"{name}"' for name in unknown_names(masked)]
    names = {
        "placename": [*_slots(masked, PLACE), *strangers],
        "thing": [*_slots(masked, THING), *strangers],
        "sound": [*_slots(masked, SOUND), *strangers],
        "number": _slots(masked, NUMBER),
    }
    rules = {name: " | ".join(those) for name, those in names.items() if those}
    if "placename" in rules:
        rules["place"] = _named("place", "placename")
    conditions = [
        _named(verb, kind)
        for verb, kind in (("sees", "thing"), ("hears", "sound"))
        if kind in rules
    ]
    if conditions:
        rules["until"] = rf'"\"until\":{{" ({" | ".join(conditions)}) "}}"'
    if "number" in rules:
        rules |= {name: rf'"\"{name}\": " number' for name in _FIGURES}
        rules["at"] = r'"\"x\": " number ",\"y\": " number'
    rules |= _steps(rules.keys())
    steps = [verb for verb in _VERBS if verb in rules]
    refusal = '"[]" | ' if may_refuse else ""
    rules |= {"root": f'{refusal}"[" step ("," step)* "]"', "step": " | ".join(steps)}
    return "\n".join(f"{name} ::= {rule}" for name, rule in rules.items()) + "\n"


_FIGURES = ("rounds", "degrees", "seconds", "minutes")
_VERBS = ("patrol", "go", "turn", "wait", "stop")


def _steps(known: Collection[str]) -> dict[str, str]:
    """Write the rules of the steps that are possible with the parts that are known."""
    rules = {
        "patrol": f"{_begin('patrol')} {_optional(known, 'place', 'rounds', 'until')}",
        "turn": rf'{_begin("turn")} ",\"direction\":" {_SIDE} {_optional(known, "degrees")}',
        "stop": f"({_begin('stop')} | {_begin('continue')})",
    }
    for verb, parts in (("go", ("place", "at")), ("wait", ("seconds", "minutes", "until"))):
        if choices := [part for part in parts if part in known]:
            rules[verb] = f'{_begin(verb)} "," ({" | ".join(choices)})'
    return {verb: f'{rule} "}}"' for verb, rule in rules.items()}


def _optional(known: Collection[str], *parts: str) -> str:
    return " ".join(f'("," {part})?' for part in parts if part in known)


_SIDE = r'("\"left\"" | "\"right\"" | "\"around\"")'


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


def _named(field: str, rule: str) -> str:
    return rf'"\"{field}\":\" " {rule} "\""'


def _slots(masked: Masked, kind: str) -> list[str]:
    return [f'"{slot}"' for slot in masked.values if slot[0] == kind]
