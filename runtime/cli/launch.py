"""`olympus launch` and `olympus check`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.console import Console

from olympus.runtime.agents import understand
from olympus.runtime.errors import ConfigError
from olympus.runtime.launch.arguments import WELL_KNOWN
from olympus.runtime.launch.jsonschema import json_schema
from olympus.runtime.launch.launcher import Options
from olympus.runtime.launch.plan import LaunchPlan
from olympus.runtime.launch.report import JsonReport, Report
from olympus.runtime.launch.run import Checked, check_launch, run_launch

File = Annotated[Path, typer.Argument(help="The launch file.", show_default=False)]
Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY:=VALUE]...",
        help="Arguments (speed:=0.4) and params of nodes (camera.source:=clip.mp4).",
        show_default=False,
    ),
]
NoImport = Annotated[
    bool, typer.Option("--no-import", help="Don't look at the nodes' classes first.")
]


def launch(  # noqa: PLR0913  a command has as many options as people need
    file: File,
    words: Words = None,
    session: Annotated[
        str | None, typer.Option(help="Name of the session; the launch file's own by default.")
    ] = None,
    duration: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Stop by itself after this time.")
    ] = None,
    go: Annotated[
        bool, typer.Option("--go", help="Permit motion and send the mission when all is active.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show informative log lines too.")
    ] = False,
    no_import: NoImport = False,
    overcommit: Annotated[
        bool, typer.Option("--overcommit", help="Start although CRITICAL jobs may be late.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Run a launch file until Ctrl-C.

    Raises:
        Exit: With the launch's exit code.
    """
    options = Options(
        duration_s=duration,
        go=go,
        is_verbose=verbose,
        imports=not no_import,
        understand=understand,
        overcommits=overcommit,
    )
    report = JsonReport() if as_json else Report()
    code = run_launch(file, words or (), session=session, report=report, options=options)
    raise typer.Exit(code)


def check(
    file: Annotated[Path | None, typer.Argument(help="The launch file.")] = None,
    words: Words = None,
    no_import: NoImport = False,
    board: Annotated[
        str | None,
        typer.Option(help="Tell whether its jobs fit this board, by measured profiles."),
    ] = None,
    scale: Annotated[
        float,
        typer.Option(min=0.01, max=1000, help="So many times slower than that board: a guess."),
    ] = 1.0,
    profiles: Annotated[
        list[Path] | None, typer.Option(help="More files that `olympus models bench` wrote.")
    ] = None,
    schema: Annotated[
        bool, typer.Option("--json-schema", help="Print the launch files' JSON schema and end.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Find out whether a launch file would start, without starting anything.

    Raises:
        ConfigError: No file was named, or no board where one is needed.
        Exit: With the check's exit code.
    """
    from olympus.runtime.cli.timing import show_timing, timing_json  # no launch needs them
    from olympus.runtime.launch.timing import timing

    if schema:
        typer.echo(json.dumps(json_schema(), indent=2))
        return
    if file is None:
        raise ConfigError("name a launch file: olympus check launch/patrol.yaml")
    checked = check_launch(file, words or (), imports=not no_import)
    if board is not None and not board.strip():  # "$BOARD" of a script that never set it
        raise ConfigError("--board names no board; write one, such as --board x86-64")
    wanted = board or checked.plan.board
    if not wanted and (scale != 1.0 or profiles):
        raise ConfigError(
            "--scale and --profiles say how long models take on a board; name it: --board x86-64"
        )
    kept = {finding.id: finding.models for finding in checked.findings}
    fit = (
        timing(checked.plan, wanted, scale=scale, files=profiles or (), kept=kept)
        if wanted
        else None
    )
    if as_json:
        more = {"timing": timing_json(fit)} if fit is not None else {}
        typer.echo(json.dumps(_as_json(checked) | more))
    else:
        _show(checked)
        if fit is not None:
            show_timing(fit)
    is_unfit = checked.problems or (fit is not None and fit.problems)
    raise typer.Exit(ConfigError.exit_code if is_unfit else 0)


def _as_json(checked: Checked) -> dict[str, object]:
    plan = checked.plan
    return {
        "name": plan.name,
        "ok": not checked.problems,
        "hosts": {
            name: {"nodes": host.nodes, "depends_on": host.depends_on}
            for name, host in plan.hosts.items()
        },
        "nodes": {finding.id: finding.model_dump() for finding in checked.findings},
        "arguments": plan.arguments,
        "problems": checked.problems,
        "notes": checked.notes,
    }


def _show(checked: Checked) -> None:
    plan = checked.plan
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    console.print(f"{plan.name}: {plan.description}" if plan.description else plan.name)
    for name, value in plan.arguments.items():
        if name not in WELL_KNOWN or value != WELL_KNOWN[name].default:
            console.print(f"  {name}:={_as_typed(value)}", style="dim")
    for line in _host_lines(plan):
        console.print(line)
    for note in checked.notes:
        console.print(f"note: {note}", style="yellow")
    for problem in checked.problems:
        console.print(f"error: {problem}", style="red")
    if not checked.problems:
        console.print(
            f"would start {len(plan.hosts)} hosts, {len(plan.nodes)} nodes", style="green"
        )


def _as_typed(value: JsonValue) -> str:
    """Return a value as it is typed on the command line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _host_lines(plan: LaunchPlan) -> list[str]:
    lines = []
    for name, host in plan.hosts.items():
        after = f"  after {', '.join(host.depends_on)}" if host.depends_on else ""
        lines.append(f"{name:<14} {', '.join(host.nodes)}{after}")
    return lines
