"""`olympus replay`: run the nodes of a recording again and compare, bit for bit."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table

from olympus.runtime.cli.connect import AsJson
from olympus.runtime.cli.projector import Projector
from olympus.runtime.cli.stores import Key, Place, found
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import ConfigError
from olympus.runtime.replay.engine import Engine
from olympus.runtime.replay.outcome import Outcome
from olympus.runtime.replay.recording import Recording
from olympus.runtime.replay.whatif import Change, what_if
from olympus.runtime.telemetry.machine import machine_facts

IDLE_FACTS = ("hash seed", "cpus")
"""Facts in which machines may differ without any consequence."""
PLAYBACK = "olympus.nodes.viewer.playback"
"""The page over a recording; another wing, so only called by its name."""
SHOWN = 20
"""So many differences are shown."""


def replay(  # noqa: PLR0913  a command line has as many options as it needs
    recording: Place = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Stop at the first difference, with exit code 1.")
    ] = False,
    inject: Annotated[
        list[str] | None,
        typer.Option(help="A node that does not run: its recorded messages stand for it."),
    ] = None,
    run: Annotated[
        int | None, typer.Option(help="Number of a run; the last one by default.")
    ] = None,
    show: Annotated[
        list[str] | None,
        typer.Option(help="Print messages of such topics as they are published anew."),
    ] = None,
    speed: Annotated[
        float, typer.Option(min=0, help="Times as fast as it was; 0 = as fast as it can.")
    ] = 0.0,
    from_s: Annotated[
        float, typer.Option("--from", min=0, help="Show nothing before so many seconds.")
    ] = 0.0,
    until_s: Annotated[float, typer.Option("--until", min=0, help="Stop after so many.")] = 0.0,
    loop: Annotated[bool, typer.Option("--loop", help="Begin again at the end.")] = False,
    step: Annotated[
        bool, typer.Option("--step", help="Wait for Enter after each message that is shown.")
    ] = False,
    diff: Annotated[
        Path | None,
        typer.Option(help="File {node: {param: value}}: run with these, and tell what changes."),
    ] = None,
    viewer: Annotated[
        bool, typer.Option("--viewer", help="Show what was recorded on the viewer's page.")
    ] = False,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Of that page; 0 for any free one.")
    ] = 8700,
    key: Key = "",
    as_json: AsJson = False,
) -> None:
    """Run the nodes of a recording again, in one process, and compare what they publish.

    Cameras, microphones, IoT devices, the robot's base and operators come from the recording;
    every other node and its models run anew, in the order of their journals.

    Raises:
        Exit: Something differs.
    """
    if viewer:
        with Recording(found(recording), key=key, run=run, needs_journal=False) as opened:
            playback = import_module(PLAYBACK)
            playback.play(
                opened, port=port, from_s=from_s, speed=speed or 1.0, loops=loop, on_ready=_ready
            )
        return
    if diff is not None:
        with Recording(found(recording), key=key, run=run) as opened:
            show_changes(what_if(opened, read_params(diff)))
        return
    while True:
        with Recording(found(recording), key=key, run=run) as opened:
            projector = Projector(show or (), speed, from_s, step)
            engine = Engine(
                opened,
                inject=inject or (),
                until_s=until_s,
                keep_going=not verify,
                on_message=projector.on_message,
                on_event=projector.on_event,
            )
            began = time.monotonic()
            outcome = engine.run()
            took_s = time.monotonic() - began
        causes = likely_causes(outcome)
        if as_json:
            typer.echo(json.dumps(as_dict(outcome, causes, took_s)))
        else:
            report(outcome, causes, took_s)
        if not outcome.is_equal:
            raise typer.Exit(1)
        if not loop:
            return


def _ready(url: str) -> None:
    typer.echo(f"the recording is at {url}; Ctrl-C ends it")


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


def read_params(file: Path) -> dict[str, dict[str, Any]]:
    """Read a file of params: values by node and name.

    Raises:
        ConfigError: It can't be read, or is no such file.
    """
    try:
        found = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise ConfigError(f"{file} can't be read: {error}") from error
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise ConfigError(f"{file}: write {{node: {{param: value}}}}, as navigator: {{keep_m: 2}}")
    return found


def show_changes(changes: list[Change]) -> None:
    """Print what other parameters change."""
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    table = Table(box=None, pad_edge=False)
    console.width = max(console.width, 140)
    for head in ("topic", "before", "after", "equal", "differs from", "field", "was", "is"):
        table.add_column(head, justify="left", overflow="fold")
    for one in changes:
        when = f"{one.at_s:.3f} s" if one.field else ""
        numbers = (str(one.before), str(one.after), str(one.equal))
        table.add_row(one.topic, *numbers, when, one.field, one.old, one.new)
    console.print(table)
    if not any(one.field for one in changes):
        console.print("nothing changes")


def verdict(outcome: Outcome, causes: list[str]) -> Iterator[str]:
    """Yield lines that say what differs and why, or that nothing does."""
    yield from (f"DIFFERENT: {difference}" for difference in outcome.differences[:SHOWN])
    if len(outcome.differences) > SHOWN:
        yield f"and {len(outcome.differences) - SHOWN} more"
    if outcome.is_equal:
        yield from (f"differs without consequence: {cause}" for cause in causes)
        yield f"equal: {outcome.compared} messages, bit for bit"
    elif outcome.differences:
        nothing = "nothing of machine, models and launch file differs; has a node's code changed?"
        yield from (f"likely cause: {cause}" for cause in causes or [nothing])
    else:
        yield "NOTHING was compared: no recorded topic comes from a node that ran again"


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
        "differences": [str(one) for one in outcome.differences],
        "likely_causes": causes,
    }
