"""Words that turn a sentence round: it calls off, asks, tells or supposes, and commands nothing.

The model is sure of the verb and the place, and blind to such a word. Whoever finds one asks back.
"""

from __future__ import annotations

import re
from typing import Final

_TURNING: Final = (
    "not never no except unless without or avoid but neither nor cannot cant dont wont nobody "
    "noone none nothing nowhere hardly barely scarcely rarely seldom instead refrain refuse forbid "
    "forbidden prohibited mistake wrong dangerous foolish silly regret hate afraid undo pretend "
    "imagine minus"
)
_NEGATIONS = frozenset(_TURNING.split())
_CALLED_OFF = re.compile(
    r"\b(?:stop|quit|cease) (?!moving|driving|patrolling|waiting|doing)\w+ing\b"
    r"|\b(?:cancel|abort|scrap|forget|ignore|skip|drop|pass)"
    r"(?: about)?(?: the| your| my)? (?:P\d|(?!every|any|some|no)\w+ing|trip|visit|drive|tour)\b"
    r"|^(?:where|when|why|who|whose|what|which|how) (?:is|are|was|were|will|do|does|did|far)\b"
    r"[^,.;?!]*[?!]?$|^(?:watch|look) (?:it|out)$"
)
"""`cancel going to P1`: what follows is what is not to be done. And what only asks, or warns."""
_HARMLESS = re.compile(
    r"\b(?:can't|won't|don't|couldn't|wouldn't) you\b|\bdo nothing\b"
    r"|\bnothing happens\b|\bnobody is\b|\b(?:can't|nobody can) (?:see|hear)\b"
    r"|\b(?:do not|don't|no) (?:move|budge|do anything|go on|stop|mind|continue|go any further|wait"
    r"|more|further|moving|driving|go anywhere|stir)\b|\bif you don't mind\b|\bno ,"
    r"|\bbut (?:first|before)|\b(?:do not|don't) (?:see|hear|forget)\b"
)
_WE = r"(?:i|we|he|she|they)"
_ORDER = (
    "(?:command|word|signal|mark|sign|request|call|orders?|cue|permission|instructions?|approval"
    "|confirmation|demand)"
)
_SUPPOSED = re.compile(
    "|".join(
        (
            # it asks
            r"^(?:have|has|had|did|do|does|was|were|are|is|am) (?:you|i|we|he|she|they|it)\b"
            r"(?! (?:not|mind|know)\b)(?!.* there\b)",
            rf"^(?:can|could|may|might|should|shall|must|will) {_WE}\b"
            r"(?! (?:ask|get|have|trouble|bother|request|see)\b)",
            rf"^would (?:{_WE}\b|you rather\b)|^what (?:if|would|happens)\b|^should (?!you\b)",
            # it tells of somebody, or of what was
            rf"\b{_WE}(?:'m|'re|'ll|'ve| am| are| is| was| were| will| shall| must| had| have| can"
            r"| could| may| might)?(?: to| just| about to| already| always| been)?"
            r" (?:go|goes|going|gone|went|drive|drove|driving|patrol|patrolled|patrolling)\b",
            r"\bused to\b|\b(?:should|could|would|might|must|may) have (?:been|gone|\w+ed)\b",
            r"(?<!\bi )(?<!\bwe )(?<!\bare )\b(?:said|says|told|tells|asked|asks|reads)\b",
            r"\b(?:wants|likes|hopes|plans|intends|wanted|decided) to\b",
            r"\byesterday\b|\blast (?:week|month|night|year|time)\b",
            r"\b(?:forgot|remembered|remind)\b|\blong way\b"
            r"|^(?:the |our |my )?P\d (?:is|was) (?:on|in|a|an|very|far|near|behind|beside)\b",
            # it supposes
            r"\b(?:thinks|thinking|thought|dreaming|talking) (?:of|about)\b",
            r"\b(?:considering|suppose|supposing|assume|assuming|wonder|wondering|almost|nearly)\b",
            r"\b(?:ready|prepare|stand by|allowed|permitted|(?:were|was) supposed) to\b",
            r"\b(?:i|we) (?:might|may|could) (?:want|need|have|ask)\b|\byou may be\b",
            # it waits for a word
            rf"\b(?:on|at|upon|with|by|for|after|under) (?:my|our|his|her|their|the|a) {_ORDER}\b",
            rf"\b(?:on|upon|at|with|by|after) {_ORDER}\b|\bnext time\b",
        )
    )
)
"""`i was thinking of going to P1`: what names a command and gives none."""
_WHEN = re.compile(
    r"(?<!up to )\b(?:if|when|whenever|as soon as|the moment|in case|once(?= (?:i|we|he|she|they|it"
    r"|the|your|my) ))\b(?P<clause>(?: (?!(?:if|when|whenever)\b)[^ ,.;]+){0,9})"
)
_TOLD_APART = re.compile(
    r"\b[TS]\d\b"
    r"| (?:done|finished|through)\w*"
    r"| (?:ready|possible|necessary|needed|convenient|clap|crash|help)\b"
    r"|^ (?:\w+ing\b|(?:it|that|this) is (?:there|over)\b|(?:you|you're|you've|you'd|you'll)\b)"
)
"""A condition that the rover knows, or mere politeness."""
_NOT_BY_YOU = re.compile(
    r"^ (?:you are|you're|you feel|you get) (?!(?:done\w*|finished|through\w*|there|at|in|back"
    r"|ready|able|free|near|close|with|on|to|inside|P\d|past|home|by|here|not|around|over|out"
    r"|\w+ing)\b)"
)


def turning(text: str) -> str:
    """Find what may turn the meaning of a masked sentence round; empty if there is nothing.

    Args:
        text: As `Masked.text`.
    """
    plain = _HARMLESS.sub(" ", text)
    if called_off := _CALLED_OFF.search(plain):
        return called_off[0].split()[0]
    if word := next((w for w in plain.split() if w in _NEGATIONS or w[-3:] == "n't"), ""):
        return word
    if supposed := _SUPPOSED.search(plain):
        return supposed[0].strip()
    return next(
        (
            " ".join(found[0].split()[:4])
            for found in _WHEN.finditer(plain)
            if _is_open(found["clause"])
        ),
        "",
    )


def _is_open(clause: str) -> bool:
    """Tell whether a condition is one that the rover can't tell."""
    return not _TOLD_APART.search(clause) or _NOT_BY_YOU.search(clause) is not None
