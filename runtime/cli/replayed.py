"""What came of a replay, in tables and words, and as JSON."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from olympus.runtime.clock import NS_PER_S
from olympus.runtime.node.devices import MARK
from olympus.runtime.replay.outcome import Outcome
from olympus.runtime.replay.whatif import WhatIf
from olympus.runtime.telemetry.machine import machine_facts

IDLE_FACTS = ("hash seed", "cpus")
"""Facts in which machines may differ without any consequence."""
SHOWN = 20
"""So many differences are shown."""


def report(outcome: Outcome, causes: list[str], took_s: float) -> None:
    """Print what came of a replay."""
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    console.print(_table(outcome))
    length_s = (outcome.ended_ns - outcome.began_ns) / NS_PER_S
    console.print(
        f"{len(outcome.nodes)} nodes, {outcome.events} events, {outcome.decisions} records of "
        f"dispatch traces, {length_s:.1f} s replayed in "
        f"{took_s:.1f} s ({length_s / max(took_s, 1e-9):.1f} times as fast)"
    )
    if done := ", ".join(f"{name} {times}" for name, times in sorted(outcome.computed.items())):
        console.print(f"computed again, times: {done}")
    if late := sum(one.uncovered for one in outcome.tallies.values()):
        console.print(f"{late} messages were sent after the end of their node's journal")
    for line in verdict(outcome, causes):
        console.print(line)


def show_changes(found: WhatIf, *, as_json: bool) -> None:
    """Print what other parameters change."""
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    table = Table(box=None, pad_edge=False)
    console.width = max(console.width, 140)
    for head in ("topic", "before", "after", "equal", "differs from", "field", "was", "is"):
        table.add_column(head, justify="left", overflow="fold")
    for one in found.changes:
        when = f"{one.at_s:.3f} s" if one.field else ""
        numbers = (str(one.before), str(one.after), str(one.equal))
        table.add_row(one.topic, *numbers, when, one.field, one.old, one.new)
    console.print(table)
    if not any(one.field for one in found.changes):
        console.print("nothing changes")
    for apart in found.apart:
        console.print(f"{apart.node} did not run, its messages are the recorded ones: {apart.why}")


def verdict(outcome: Outcome, causes: list[str]) -> Iterator[str]:
    """Yield lines that say what differs and why, or that nothing does."""
    yield from (f"DIFFERENT: {difference}" for difference in outcome.differences[:SHOWN])
    if len(outcome.differences) > SHOWN:
        yield f"and {len(outcome.differences) - SHOWN} more"
    yield from _uncompared(outcome)
    if outcome.is_equal:
        yield from (f"differs without consequence: {cause}" for cause in causes)
        yield f"equal: {outcome.compared} messages, bit for bit"
    elif outcome.differences:
        nothing = (
            "nothing of machine, models and launch file differs; has a node's code changed, or "
            "does one look outside without self.observe? `olympus lint FILE` finds some of that"
        )
        found = causes or ([] if outcome.unfollowed else [nothing])
        yield from (f"likely cause: {cause}" for cause in found)
    elif outcome.compared:
        yield f"NOT ALL was compared; {outcome.compared} messages are equal, bit for bit"
    else:
        yield "NOTHING was compared: no recorded topic comes from a node that ran again"


def _uncompared(outcome: Outcome) -> Iterator[str]:
    """Yield which recorded topics were not compared, and why."""
    for one in sorted(outcome.uncompared, key=lambda one: one.is_meant):
        word = "left out" if one.is_meant else "NOT COMPARED"
        yield f"{word}: {one.topic}, {one.messages} messages of {one.node}: {one.why}"
    for what in outcome.unfollowed:
        yield (
            f"NOT COMPARED: a thread of one of the nodes reached for {what}, and nobody knows "
            f"which node's it is; one of their classes lacks {MARK} = False"
        )
    told = {one.node for one in outcome.uncompared}
    for name, apart in sorted(outcome.apart.items()):
        if name not in told:
            word = "left out" if apart.is_meant else "NOT COMPARED"
            yield f"{word}: {name}, of which no topic is recorded: {apart.why}"
    if outcome.unjournaled:
        topics = ", ".join(outcome.unjournaled)
        yield f"from the recording, of devices and others without a journal: {topics}"


def _table(outcome: Outcome) -> Table:
    table = Table(box=None, pad_edge=False)
    for head in ("topic", "equal", "differ", "missing", "unrecorded", "sha256"):
        table.add_column(head, justify="left" if head in ("topic", "sha256") else "right")
    for topic, tally in sorted(outcome.tallies.items()):
        numbers = (tally.equal, tally.differing, tally.missing, tally.unrecorded)
        table.add_row(topic, *(str(one) if one else "" for one in numbers), tally.digest[:16])
    return table


def likely_causes(outcome: Outcome) -> list[str]:
    """Return in what models, machine and launch file differ from those of the recording."""
    causes = list(outcome.notes)
    here = machine_facts()
    for name, value in outcome.machine.items():
        if name not in IDLE_FACTS and here.get(name, "none") != value:
            causes.append(f"{name} is {here.get(name, 'none')!r} here and was {value!r}")
    file, digest = outcome.launch
    if file and Path(file).is_file():
        now = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        if now != digest:
            causes.append(f"{file} has changed since")
    return causes


def as_dict(outcome: Outcome, causes: list[str], took_s: float) -> dict[str, object]:
    """Return what came of a replay as plain values."""
    return {
        "is_equal": outcome.is_equal,
        "compared": outcome.compared,
        "events": outcome.events,
        "decisions": outcome.decisions,
        "nodes": outcome.nodes,
        "computed": outcome.computed,
        "replayed_s": (outcome.ended_ns - outcome.began_ns) / NS_PER_S,
        "took_s": took_s,
        "topics": {
            topic: {
                "equal": one.equal,
                "differing": one.differing,
                "missing": one.missing,
                "unrecorded": one.unrecorded,
                "uncovered": one.uncovered,
                "sha256": one.digest,
            }
            for topic, one in sorted(outcome.tallies.items())
        },
        "uncompared": [asdict(one) for one in outcome.uncompared],
        "unfollowed": outcome.unfollowed,
        "unjournaled": outcome.unjournaled,
        "differences": [str(one) for one in outcome.differences],
        "likely_causes": causes,
    }
