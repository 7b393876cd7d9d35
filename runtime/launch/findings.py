"""What the classes of a launch's nodes say, and what is odd about the topics between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, JsonValue

from olympus.runtime.bus.topics import matches
from olympus.runtime.errors import nearest


class Finding(BaseModel):
    """What a node's class says."""

    model_config = ConfigDict(frozen=True)

    id: str
    problem: str = ""
    """Why it can't run; empty when it can."""
    params: dict[str, JsonValue] = {}
    """All its params, defaults included."""
    outputs: dict[str, str] = {}
    """Topics it publishes, and their message types."""
    inputs: dict[str, str] = {}
    """Topics it hears, and their message types."""
    optional: list[str] = []
    """Topics among the inputs that it does well without."""
    named: list[str] = []
    """Topics that its params name: a viewer's, a recorder's; may hold `*`."""
    models: list[str] = []
    """Models that it keeps in its process, by name or path."""
    asked: dict[str, str] = {}
    """Models that it has others run, by the full name of the node that keeps them."""
    notes: list[str] = []
    """What is worth a warning."""


def wiring(findings: Iterable[Finding]) -> list[str]:
    """Return what is odd about the topics: loose ends, and types that don't match."""
    findings = list(findings)
    senders, hearers = _ends(findings)
    named = [name for finding in findings for name in finding.named]
    told = deaf(findings)
    for topic, sent in senders.items():
        heard = hearers.get(topic, {})
        if not heard and not any(matches(name, topic) for name in named):
            told.append(f"{topic}: nobody here listens (from {', '.join(sent)})")
        elif len(kinds := {*sent.values(), *heard.values()} - {"Message"}) > 1:
            told.append(f"{topic}: types differ: {', '.join(sorted(kinds))}")
    return sorted(told)


def deaf(findings: Iterable[Finding]) -> list[str]:
    """Return a sentence for each topic that somebody needs but that nobody publishes."""
    findings = list(findings)
    optional = {(topic, finding.id) for finding in findings for topic in finding.optional}
    senders, hearers = _ends(findings)
    told: list[str] = []
    for topic in sorted(hearers.keys() - senders.keys()):
        if "*" in topic or all((topic, node) in optional for node in hearers[topic]):
            continue
        near = nearest(topic, senders)
        hint = "" if near is None else f"; did you mean {near!r}? (remaps, namespace)"
        told.append(f"{topic}: nobody here publishes (heard by {', '.join(hearers[topic])}){hint}")
    return told


_Ends: TypeAlias = dict[str, dict[str, str]]
"""By topic: node ids and the message types they say."""


def _ends(findings: Iterable[Finding]) -> tuple[_Ends, _Ends]:
    """Return who publishes each topic, and who hears it."""
    senders: _Ends = {}
    hearers: _Ends = {}
    for finding in findings:
        for topic, kind in finding.outputs.items():
            senders.setdefault(topic, {})[finding.id] = kind
        for topic, kind in finding.inputs.items():
            hearers.setdefault(topic, {})[finding.id] = kind
    return senders, hearers
