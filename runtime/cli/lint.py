"""`olympus lint`: what in a node's source may come out differently when a recording is replayed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from olympus.runtime.cli.connect import AsJson
from olympus.runtime.errors import ConfigError
from olympus.runtime.node.devices import MARK, openings
from olympus.runtime.node.lint import Varying, varying

DEVICE_WAY_OUT = (
    f"say `{MARK} = False` in the class: a replay takes its messages from the recording; or "
    f"`{MARK} = True` if it may run all the same"
)


def lint(
    what: Annotated[list[Path], typer.Argument(help="Python files, or folders of them.")],
    show_all: Annotated[
        bool, typer.Option("--all", help="Show too what a comment `# varies: …` excuses.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Find what may vary between replays: clocks, luck, sets, threads, surroundings, devices.

    Exits with 1 when something is found that nobody excused.

    Raises:
        ConfigError: A file can't be read.
        Exit: Something was found.
    """
    found = [(file, one) for file in _files(what) for one in _found_in(file)]
    for file, one in found:
        if show_all or not one.excuse:
            typer.echo(_json(file, one) if as_json else _line(file, one))
    open_ = sum(not one.excuse for _, one in found)
    if not as_json:
        typer.echo(f"{open_} found, {len(found) - open_} excused", err=True)
    if open_:
        raise typer.Exit(1)


def _files(what: list[Path]) -> list[Path]:
    files = [
        file
        for path in what
        for file in (sorted(path.rglob("*.py")) if path.is_dir() else [path])
        if not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not files:
        raise ConfigError(f"no Python file in {', '.join(map(str, what))}")
    return files


def _found_in(file: Path) -> list[Varying]:
    devices = [
        Varying(one.line, "device", f"class {one.node} {one}", DEVICE_WAY_OUT)
        for one in openings(file)
    ]
    return sorted((*varying(_read(file), str(file)), *devices))


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} can't be read: {error}; name a Python file") from error


def _line(file: Path, one: Varying) -> str:
    told = f"excused: {one.excuse}" if one.excuse else one.way_out
    return f"{file}:{one.line}: {one.kind}: {one.text}\n    {told}"


def _json(file: Path, one: Varying) -> str:
    row = {"file": str(file), "line": one.line, "kind": one.kind, "text": one.text}
    return json.dumps({**row, "way_out": one.way_out, "excuse": one.excuse})
