"""`olympus faults`: run the campaign, a soak, and the report."""

from __future__ import annotations

import random
import shlex
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from olympus.runtime.errors import SafetyError
from olympus.sim.campaign.catalogue import ELSEWHERE, catalogue, skipped
from olympus.sim.campaign.faults import Fault, loaded_while
from olympus.sim.campaign.report import load, picture, save, summary, table, verdict
from olympus.sim.campaign.rig import Rig
from olympus.sim.campaign.soak import Moment, measure_stops, soak, told
from olympus.sim.campaign.trial import CANT_GO_ON, Result, run_trial
from olympus.sim.campaign.watching import CampaignError

app = typer.Typer(no_args_is_help=True, help="Hurt a running robot on purpose, and time its stop.")

Seed = Annotated[int, typer.Option(help="The same seed hurts in the same order, moments included.")]
Out = Annotated[Path | None, typer.Option(help="File that results are added to, JSON lines.")]
Loaded = Annotated[bool, typer.Option("--loaded", help="Keep every core busy meanwhile.")]


_STUCK = 3
"""So many trials in a row in which the campaign itself fails end it."""


def plan(seed: int, count: int, names: list[str]) -> list[tuple[int, Fault]]:
    """Return the trials of a campaign: index and fault, in their order.

    Every fault comes once before any comes twice; then by weight.

    Args:
        seed: Decides the order.
        count: How many.
        names: Parts of names of faults; empty for all.

    Raises:
        CampaignError: No fault is called so.
    """
    chance = random.Random(seed)
    faults = [f for f in catalogue().values() if not names or any(n in f.name for n in names)]
    if not faults:
        raise CampaignError(f"no fault is called like {names}; `olympus faults list` names them")
    drawn = chance.sample(faults, len(faults))
    weights = [fault.weight for fault in faults]
    while len(drawn) < count:
        drawn.append(chance.choices(faults, weights)[0])
    return list(enumerate(drawn[:count]))


@app.command("list")
def list_faults() -> None:
    """Name every fault, what is expected of it, and what is done elsewhere."""
    for fault in catalogue().values():
        typer.echo(f"{fault.name:55} {fault.expect}")
    for name, why in ELSEWHERE.items():
        typer.echo(f"not here: {name}: {why}")


@app.command()
def run(
    count: Annotated[int, typer.Option(help="How many trials.")] = 150,
    seed: Seed = 1,
    fault: Annotated[
        list[str] | None, typer.Option(help="Only faults whose name has this.")
    ] = None,
    first: Annotated[int, typer.Option(help="Begin with this trial.")] = 0,
    only: Annotated[int | None, typer.Option(help="Only the trial of this number.")] = None,
    minutes: Annotated[float, typer.Option(help="Begin no trial after this time.")] = 30.0,
    out: Out = None,
    loaded: Loaded = False,
) -> None:
    """Hurt the rig again and again; end with an error if it ever failed to stop.

    Raises:
        SafetyError: A trial was not ok.
    """
    count = max(count, first + 1, only + 1 if only is not None else 0)
    trials = [t for t in plan(seed, count, fault or []) if t[0] >= first and only in (None, t[0])]
    results: list[Result] = []
    until = time.monotonic() + 60 * minutes
    for number in (signal.SIGINT, signal.SIGTERM):  # what was laid and mounted is taken away again
        signal.signal(number, signal.default_int_handler)
    with Rig() as rig, loaded_while(loaded):
        left_out = skipped(rig)
        for name, why in left_out.items():
            typer.echo(f"skipped: {name}: {why}")
        for index, one in trials:
            if any(name in one.name for name in left_out):
                continue
            if time.monotonic() > until:
                typer.echo(f"the time is up; go on with --first {index}")
                break
            result = run_trial(rig, one, seed, index, is_loaded=loaded)
            results.append(result)
            if out is not None:
                save(out, [result])
            typer.echo(_line(result))
            if is_stuck(results):
                typer.echo(f"{_STUCK} trials one after the other could not go on: the end")
                break
        typer.echo(_summary(rig, seed, results))
    typer.echo(table(results))
    _judge(results, "".join(f" --fault {shlex.quote(name)}" for name in fault or []))


@app.command()
def report(
    files: list[Path],
    svg: Annotated[Path | None, typer.Option(help="Where the picture goes.")] = None,
) -> None:
    """Print the table of one or more runs, and draw the picture.

    Raises:
        SafetyError: A trial was not ok.
    """
    results = load(files)
    if svg is not None:
        svg.write_text(picture(results))
    must_stop = {one.name for one in catalogue().values() if one.expect in ("halt", "pause")}
    typer.echo(f"{summary(results, must_stop)}\n\n{table(results)}")
    _judge(results)


@app.command("soak")
def soak_command(
    minutes: Annotated[float, typer.Option(help="How long.")] = 30.0, loaded: Loaded = True
) -> None:
    """Let the rig drive with every core busy: any stop is a false one, and is named.

    Raises:
        SafetyError: It tripped; a pause that ends by itself is told, and is no error.
    """
    progress = _Minutes(minutes)
    with Rig() as rig, loaded_while(loaded):
        moments = soak(rig, 60 * minutes, progress.tell, progress.look)
    trips = sum(one.is_trip for one in moments)
    typer.echo(
        f"{minutes:g} minutes, loaded={loaded}: {trips} false trips, "
        f"{len(moments) - trips} pauses without a trip"
    )
    if trips:
        raise SafetyError(f"{trips} false trips in {minutes:g} minutes")


class _Minutes:
    """Says each minute how a soak goes."""

    def __init__(self, minutes: float) -> None:
        self._minutes, self._next_s, self._trips = minutes, 60.0, 0

    def tell(self, moment: Moment) -> None:
        self._trips += moment.is_trip
        typer.echo(str(moment))

    def look(self, gone_s: float) -> None:
        if gone_s >= self._next_s:
            typer.echo(
                f"{gone_s // 60:.0f} of {self._minutes:g} minutes, {self._trips} false trips",
                err=True,
            )
            self._next_s = 60 * (gone_s // 60 + 1)


@app.command("stop")
def stop_command(count: Annotated[int, typer.Option(help="How many stops.")] = 100) -> None:
    """Time `olympus stop` from another process to a neutral motor command."""
    with Rig() as rig:
        starting, neutral = zip(*measure_stops(rig, count), strict=True)
    typer.echo(f"stop to neutral: {told(list(neutral))}; before it, Python: {told(list(starting))}")


def _summary(rig: Rig, seed: int, results: list[Result]) -> str:
    lines = [f"\nseed {seed}, {len(results)} trials, the robot was launched {rig.starts} times"]
    lines += [f"false trip: {cause}" for cause in rig.false_trips]
    lines += [f"begun again {n} times: {w}" for w, n in Counter(rig.excused).most_common()]
    if rig.standstills.refused:
        lines.append(f"whether the machine stood still was not seen: {rig.standstills.refused}")
    if rig.stood_still:
        lines.append(f"begun again {len(rig.stood_still)} times since the machine stood still:")
    lines += [f"  {why}" for why in rig.stood_still]
    return "\n".join(lines)


def is_stuck(results: list[Result]) -> bool:
    """Tell whether the campaign itself failed too often in a row to go on."""
    last = [one.verdict.startswith(CANT_GO_ON) for one in results[-_STUCK:]]
    return len(last) == _STUCK and all(last)


def _line(result: Result) -> str:
    ms = "      -" if result.ms is None else f"{result.ms:7.1f}"
    bad = "" if result.verdict == "ok" else f"  <<< {result.verdict}"
    head = f"{result.index:5} {ms} ms  {result.fault:50} {result.layer:16}"
    still = f"  (a processor stood still for {result.still_ms:.0f} ms)" if result.still_ms else ""
    return f"{head} {result.cause[:60]}{still}{bad}"


def _judge(results: list[Result], more: str = "") -> None:
    if said := verdict(results, more=more):
        raise SafetyError(said)
