"""The command `olympus doctor`: what this board has, what is missing, and the way out."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from olympus.hardware.board import Board, look
from olympus.hardware.findings import Finding, examine, is_fit

COLOURS = {"ok": "green", "absent": "dim", "limited": "yellow", "missing": "bold red"}


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
    root: Annotated[Path, typer.Option(help="Look below this folder instead.", hidden=True)] = Path(
        "/"
    ),
) -> None:
    """Tell what this board has, what is missing, and the way out.

    Raises:
        typer.Exit: With 0 if all that Olympus needs is there, else with 1.
    """
    board = look(root)
    findings = examine(board)
    if as_json:
        typer.echo(json.dumps(report(board, findings), indent=2))
    else:
        show(board, findings)
    raise typer.Exit(0 if is_fit(findings) else 1)


def report(board: Board, findings: tuple[Finding, ...]) -> dict[str, object]:
    """Return board and findings as plain values for JSON."""
    return {
        "fit": is_fit(findings),
        "board": dataclasses.asdict(board),
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }


def show(board: Board, findings: tuple[Finding, ...]) -> None:
    """Print a table a person reads, and a last line that sums it up."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", "what", "found", "way out"):
        table.add_column(heading, overflow="fold")
    for finding in findings:
        colour = COLOURS[finding.state]
        state = f"[{colour}]{finding.state}[/{colour}]"
        table.add_row(state, finding.name, _plain(finding.text), _plain(finding.way_out))
    console = Console(highlight=False)
    console.print(f"[bold]{_plain(board.model)}[/bold]")
    console.print(table)
    missing = [finding.name for finding in findings if finding.state == "missing"]
    console.print("missing: " + ", ".join(missing) if missing else "all that is needed is there")


def _plain(text: str) -> str:
    return text.replace("[", r"\[")
