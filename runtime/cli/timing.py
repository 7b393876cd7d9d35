"""How `olympus check --board` tells whether the jobs of a launch fit."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from olympus.runtime.launch.timing import Row, Timing


def timing_json(fit: Timing) -> dict[str, object]:
    """Return it for a script; times in ms."""
    return {
        "board": fit.board,
        "ok": not fit.problems,
        "jobs": [_row_json(row) for row in fit.rows],
        "loads": fit.loads,
        "memory_mb": fit.memory_mb,
        "memory": [
            {"host": host, "model": model, "memory_mb": mb}
            for (host, model), mb in fit.memory.items()
        ],
        "problems": fit.problems,
        "notes": fit.notes,
    }


def _row_json(row: Row) -> dict[str, object]:
    task, response_ns = row.verdict.task, row.verdict.response_ns
    return {
        "node": row.node,
        "model": row.job.model,
        "resource": row.resource,
        "tier": row.job.tier,
        "rate_hz": row.job.rate_hz,
        "worst_ms": task.cost_ns / 1e6,
        "blocked_ms": row.verdict.blocked_ns / 1e6,
        "response_ms": None if response_ns is None else response_ns / 1e6,
        "deadline_ms": task.deadline_ns / 1e6,
        "holds": row.verdict.holds,
        "why": row.verdict.why,
        "profile": {"board": row.profile.board, "n": row.profile.n},
    }


def show_timing(fit: Timing) -> None:
    """Print it for a person."""
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    console.width = max(console.width, 110)  # a terminal folds a line, a cut figure is no figure
    if not (fit.rows or fit.problems):
        console.print("no node declares jobs; `jobs:` of a node says what it computes how often")
        return
    if fit.rows:
        console.print(_table(fit))
    for where, load in fit.loads.items():
        console.print(f"{where}: {load:.0%} in use at worst")
    if fit.memory:
        each = ", ".join(f"{model} {mb:g}" for (_, model), mb in fit.memory.items())
        console.print(f"memory of all models: {fit.memory_mb:.0f} MB ({each})")
    for note in fit.notes:
        console.print(f"note: {note}", style="yellow")
    for problem in fit.problems:
        console.print(f"error: {problem}", style="red")
    if not fit.problems:
        console.print(f"every job is done in time on {fit.board}", style="green")


def _table(fit: Timing) -> Table:
    title = f"worst case on {fit.board}, ms"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1))
    for head in ("node", "model", "resource", "tier"):
        table.add_column(head, no_wrap=True)
    for head in ("Hz", "takes", "blocked", "response", "deadline"):
        table.add_column(head, justify="right", no_wrap=True)
    for row in sorted(fit.rows, key=lambda row: (row.resource, row.verdict.task.tier)):
        task, verdict = row.verdict.task, row.verdict
        response = "-" if verdict.response_ns is None else f"{verdict.response_ns / 1e6:.2f}"
        table.add_row(
            *(row.node, row.job.model, row.resource, row.job.tier, f"{row.job.rate_hz:g}"),
            *(f"{ns / 1e6:.2f}" for ns in (task.cost_ns, verdict.blocked_ns)),
            response,
            f"{task.deadline_ns / 1e6:g}",
            style=None if verdict.holds else "red",
        )
    return table
