"""From an operator's sentence to a typed command: a small grammar, read by people and tests alike.

It understands few sentences and says so about all others; it never guesses. A verb is the first
word after politeness; what follows are its arguments.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import Command

EXAMPLES = (
    "patrol the corridor",
    "patrol 3 rounds",
    "go to 9, 0",
    "go to the lab",
    "turn left",
    "turn around",
    "wait 10 seconds",
    "continue",
    "stop",
)

_POLITE = re.compile(r"^(?:(?:please|now|rover|robot|hey|ok|okay)\b[\s,]*)+", re.IGNORECASE)
_NUMBER = r"[-+]?\d+(?:\.\d+)?"


class NotUnderstoodError(ConfigError):
    """A sentence is not in the grammar."""


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    verb: str
    args: Callable[[re.Match[str]], dict[str, str]]


def _rule(pattern: str, verb: str, *names: str) -> _Rule:
    def args(match: re.Match[str]) -> dict[str, str]:
        return {name: match[name].strip() for name in names if match[name]}

    return _Rule(re.compile(pattern + r"[.!]?\Z", re.IGNORECASE), verb, args)


_PLACE = r"(?:the )?(?P<place>[a-z][a-z0-9_ -]*?)"
_RULES = (
    _rule(r"(?:stop|halt|freeze)(?: (?:now|at once|immediately))?", "stop"),
    _rule(
        rf"patrol (?P<rounds>\d+) (?:rounds?|laps?|times)(?: (?:in|of) {_PLACE})?",
        "patrol",
        "rounds",
        "place",
    ),
    _rule(rf"(?:patrol|guard)(?: {_PLACE})?", "patrol", "place"),
    _rule(
        rf"(?:go|drive|move) to \(?(?P<x>{_NUMBER})(?: ?, ?| )(?P<y>{_NUMBER})\)?", "go", "x", "y"
    ),
    _rule(rf"(?:go|drive|move|return|come) (?:back )?(?:to )?{_PLACE}", "go", "place"),
    _rule(r"turn (?P<direction>left|right|around)", "turn", "direction"),
    _rule(rf"wait(?: for)? (?P<seconds>{_NUMBER}) ?(?:s|secs?|seconds?)", "wait", "seconds"),
    _rule(r"(?:continue|resume|go on|carry on)", "continue"),
)


def understand(sentence: str) -> Command:
    """Turn a sentence into a command.

    Args:
        sentence: What was typed or said, at most 200 characters.

    Returns:
        The command: its text is the sentence, its verb and arguments what was understood.

    Raises:
        NotUnderstoodError: The sentence is not in the grammar; names sentences that are.
    """
    text = " ".join(sentence.split())
    plain = _POLITE.sub("", text)
    if len(text) <= 200:
        # "go on" is both a verb of its own and "go" with a place: the whole phrase wins.
        for rule in sorted(_RULES, key=lambda rule: rule.verb != "continue"):
            if match := rule.pattern.match(plain):
                return Command(text=text, verb=rule.verb, args=rule.args(match))
    raise NotUnderstoodError(
        f"{text!r:.100} is not understood; say for example: {'; '.join(EXAMPLES)}"
    )
