"""Puts the command line together: our commands, then those that plug-ins bring."""

from __future__ import annotations

import errno
import shutil
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any

import typer

from olympus import __version__
from olympus.runtime.cli.helping import explain
from olympus.runtime.errors import OlympusError

PLUGINS = "olympus.commands"
"""Entry points of this group add commands: a function, or a typer application for a group."""

COMMANDS = {
    "launch": "olympus.runtime.cli.launch:launch",
    "check": "olympus.runtime.cli.launch:check",
    "lint": "olympus.runtime.cli.lint:lint",
    "topic": "olympus.runtime.cli.topic:app",
    "node": "olympus.runtime.cli.node:app",
    "param": "olympus.runtime.cli.param:app",
    "service": "olympus.runtime.cli.service:app",
    "store": "olympus.runtime.cli.store:app",
    "record": "olympus.runtime.cli.record:record",
    "replay": "olympus.runtime.cli.replay:replay",
    "audit": "olympus.runtime.cli.audit:app",
    "top": "olympus.runtime.cli.top:top",
    "trace": "olympus.runtime.cli.trace:trace",
    "say": "olympus.runtime.cli.say:say",
    "ros2": "olympus.runtime.cli.ros2:app",
}
SAFETY = {
    "stop": "Stop every actuator now and read back that it did.",
    "reset": "Permit motion again after a stop; it causes none.",
    "status": "Show the guardian's view: state, cause, heartbeats, gates.",
    "console": "Watch the state, with the stop under every key.",
}


FULL = (errno.ENOSPC, errno.EDQUOT)
"""What the system says where no room is left: the output may go to a file."""


def run(arguments: list[str], loaded: Callable[[], None] = lambda: None) -> int:
    """Carry out a command line.

    Args:
        arguments: What was typed after `olympus`.
        loaded: Called when all that the command needs is loaded, before it begins.

    Returns:
        The exit code; an OlympusError is one clear line and its own code, and so is a full disk.

    Raises:
        OSError: The system refused something else that nobody foresaw.
    """
    try:
        if arguments[:1] in (["launch"], ["check"]):
            from olympus.runtime.launch.ros_args import as_words  # loads half of the house

            arguments = as_words(arguments)
        app = make(arguments)
        loaded()
        app(args=arguments, prog_name="olympus")
    except OlympusError as error:
        text = f"olympus: {error}"
        if sys.stderr.isatty():
            from olympus.runtime.launch.report import wrapped

            text = wrapped(text, shutil.get_terminal_size().columns)
        typer.echo(text, err=True)
        return error.exit_code
    except OSError as error:
        if error.errno not in FULL:
            raise
        where = f" for {error.filename}" if error.filename else " for what is written"
        text = f"olympus: there is no room left on the disk{where}; free some, then try again"
        typer.echo(text, err=True)
        return OlympusError.exit_code
    return 0


def make(arguments: list[str]) -> typer.Typer:
    """Build the application, with only what `arguments` needs if that can be told.

    Args:
        arguments: What was typed; a known first word spares loading the other commands.
    """
    app = typer.Typer(
        help="An edge runtime for sensor-driven agents.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_olympus)
    known: dict[str, str | EntryPoint] = {**COMMANDS, **_plugins()}
    word = arguments[0] if arguments else ""
    if word == "--version":
        return app
    for name in [word] if word in known else known:
        _add(app, name, _load(known[name]))
    explain(app)
    if word not in known:
        _list_safety(app)
    return app


def _add(app: typer.Typer, name: str, command: Any) -> None:
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=name)
    else:
        app.command(name)(command)


def _load(where: str | EntryPoint) -> Any:
    if isinstance(where, EntryPoint):
        return where.load()
    module, _, attribute = where.partition(":")
    return getattr(import_module(module), attribute)


def _plugins() -> dict[str, EntryPoint]:
    points = {point.name: point for point in entry_points(group=PLUGINS)}
    return {name: point for name, point in points.items() if name not in (*COMMANDS, *SAFETY)}


def _list_safety(app: typer.Typer) -> None:
    """List the commands that `main` carries out before this application is built."""
    for name, text in SAFETY.items():
        app.command(name, help=text)(_carried_out_by_main)


def _carried_out_by_main() -> None:
    raise typer.BadParameter("write it first: `olympus stop`")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"olympus {__version__}")
        raise typer.Exit


def _olympus(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """An edge runtime for sensor-driven agents."""
