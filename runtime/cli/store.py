"""`olympus store`: what a recorder's store holds, and looking after it."""

from __future__ import annotations

import json
import secrets
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from olympus.runtime.cli import consumers as consumers_of
from olympus.runtime.cli import exchange
from olympus.runtime.cli.connect import AsJson, SessionName, carry_out
from olympus.runtime.cli.deadletters import app as deadletters
from olympus.runtime.cli.stores import Key, Place, found
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import ConfigError
from olympus.runtime.store import Run, StreamStore
from olympus.runtime.store.consuming import Start
from olympus.runtime.store.mcap import Form
from olympus.runtime.store.places import store_of
from olympus.runtime.store.upkeep import (
    backup,
    check_all,
    compact,
    forget,
    restore,
    topic_rows,
)

app = typer.Typer(
    help="The robot's recordings: look at them, follow, back up, export, forget.",
    no_args_is_help=True,
)
app.add_typer(deadletters, name="deadletters")


@app.command()
def stats(store: Place = None, key: Key = "", as_json: AsJson = False) -> None:
    """Show what was recorded, what is missing and why, and whether each run is complete."""
    folder = found(store)
    with StreamStore(folder, read_only=True, key=key) as opened:
        rows, runs, gaps = topic_rows(opened), opened.runs(), opened.gaps()
        used, is_alive = opened.file.used_bytes(), opened.is_recording()
    if as_json:
        told = {
            "folder": str(folder),
            "used_bytes": used,
            "topics": [asdict(row) for row in rows],
            "is_recording": is_alive,
            "runs": [asdict(run) | {"is_complete": run.is_complete} for run in runs],
            "gaps": [asdict(gap) for gap in gaps],
        }
        typer.echo(json.dumps(told))
        return
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    console.width = max(console.width, 110)
    console.print(f"{folder}: {used / 1e6:.1f} MB in use")
    table = Table(box=None, pad_edge=False)
    for head in ("topic", "messages", "from", "to", "missing", "removed"):
        table.add_column(head, justify="left" if head == "topic" else "right", no_wrap=True)
    for row in rows:
        ends = (_time(row.first), _time(row.last))
        table.add_row(
            row.topic, str(row.messages), *ends, _number(row.missing), _number(row.pruned)
        )
    console.print(table)
    for run in runs:
        console.print(_run_line(run, is_alive=is_alive and run is runs[-1]))
    for gap in gaps:
        last = gap.after_seq + gap.missing
        console.print(f"  {gap.topic} no. {gap.after_seq + 1} to {last}: {gap.reason}")


@app.command()
def check(store: Place = None, key: Key = "") -> None:
    """Read every record and check it against its checksum."""
    folder = found(store)
    with StreamStore(folder, read_only=True, key=key) as opened:
        typer.echo(f"{folder}: {check_all(opened)} records, all as they were written")


@app.command(name="backup")
def backup_(
    target: Annotated[Path, typer.Argument(help="An empty or new folder.")], store: Place = None
) -> None:
    """Copy a store; a recorder may go on writing."""
    size = backup(found(store), target)
    typer.echo(f"{target}: {size / 1e6:.1f} MB")


@app.command(name="restore")
def restore_(
    source: Annotated[Path, typer.Argument(help="Folder of a backup.")], store: str
) -> None:
    """Put a backup in the place of a store; what stood there stays beside it as NAME.before."""
    folder = Path(store) if "/" in store else store_of(store)
    typer.echo(f"{folder}: {restore(source, folder)} records")


@app.command(name="compact")
def compact_(store: Place = None) -> None:
    """Make the file as small as what is in it; nobody may use it meanwhile."""
    folder = found(store)
    before, after = compact(folder)
    typer.echo(f"{folder}: {before / 1e6:.1f} MB before, {after / 1e6:.1f} MB now")


@app.command(name="forget")
def forget_(
    subject: Annotated[str, typer.Option(help="Whom, as the recorder's `subjects` name it.")],
    store: Place = None,
    key: Key = "",
) -> None:
    """Erase all that was recorded about somebody, overwrite it, and destroy its key."""
    folder = found(store)
    count = forget(folder, subject, key=key)
    typer.echo(f"{folder}: {count} records of {subject} erased; none is left")


@app.command(name="export")
def export_(
    store: Annotated[str, typer.Argument(help="Folder of the store, or the session's name.")],
    target: Annotated[Path, typer.Argument(help="File to write, such as drive.mcap.")],
    form: Annotated[
        Form,
        typer.Option("--as", help="ros2: for `ros2 bag play`; json: our own types; frames: exact."),
    ] = Form.ROS2,
    topics: Annotated[
        list[str] | None, typer.Option(help="Only these; `*` and `**` may stand. May be repeated.")
    ] = None,
    since: Annotated[str, typer.Option("--from", help=exchange.WHEN)] = "",
    until: Annotated[str, typer.Option(help=exchange.WHEN)] = "",
    compression: Annotated[str, typer.Option(help="zstd, lz4 or none.")] = "zstd",
    key: Key = "",
) -> None:
    """Write a recording as an MCAP file, for Foxglove, Lichtblick, PlotJuggler or ROS 2."""
    exchange.export(
        found(store),
        target,
        form=form,
        topics=topics or [],
        since=since,
        until=until,
        compression=compression,
        key=key,
    )


@app.command(name="import")
def import_(
    bag: Annotated[Path, typer.Argument(help=".mcap, .db3, or the folder of a ROS 2 bag.")],
    store: Annotated[str, typer.Argument(help="Folder of the store, or the session's name.")],
    key: Key = "",
    interfaces: Annotated[
        list[Path] | None, typer.Option(help="Folder of your own ROS types; may be repeated.")
    ] = None,
) -> None:
    """Take an MCAP file or a bag of ROS 2 into a store, new or old."""
    folder = Path(store) if "/" in store else store_of(store)
    exchange.take_in(bag, folder, key=key, interfaces=interfaces or [])


@app.command()
def follow(
    topics: Annotated[list[str], typer.Argument(help="Topics; `*` and `**` may stand.")],
    name: Annotated[str, typer.Option("--as", help="Name under which it is kept how far one is.")],
    store: Annotated[str | None, typer.Option(help="Folder of the store, or the name.")] = None,
    start: Annotated[
        Start, typer.Option("--from", help="Where a new name begins: beginning or now.")
    ] = Start.BEGINNING,
    once: Annotated[bool, typer.Option(help="End where the recording is now.")] = False,
    full: Annotated[bool, typer.Option(help="Write arrays out.")] = False,
    key: Key = "",
    session: SessionName = None,
) -> None:
    """Print what was recorded since the last time, then what is being recorded, as JSON lines.

    Each record at least once, in the order of arrival. Gaps, and what was removed before it was
    read, are told on standard error.
    """
    work = consumers_of.print_on(
        found(store), name, topics, session=session, start=start, key=key, live=not once, full=full
    )
    carry_out(work)


@app.command()
def consumers(
    store: Place = None,
    remove: Annotated[str, typer.Option(help="Forget the consumer of this name.")] = "",
    as_json: AsJson = False,
    session: SessionName = None,
    key: Key = "",
) -> None:
    """Show who follows a store, and how much each has not read yet."""
    folder = found(store)
    if remove:
        carry_out(consumers_of.remove(folder, remove, session=session, key=key))
        typer.echo(f"{folder}: {remove} is forgotten")
    else:
        consumers_of.show(folder, as_json=as_json)


@app.command()
def migrate(store: Place = None, key: Key = "") -> None:
    """Bring a store of an older version to the layout of today."""
    folder = found(store)
    with StreamStore(folder, key=key):
        typer.echo(f"{folder}: of today's layout")


@app.command()
def key(file: Annotated[Path, typer.Argument(help="A file that is not there yet.")]) -> None:
    """Make a key for an encrypted store, readable by you alone.

    Raises:
        ConfigError: The file is there already, or can't be written.
    """
    try:
        file.touch(mode=0o600, exist_ok=False)
        file.write_text(secrets.token_urlsafe(48) + "\n")
    except OSError as error:
        raise ConfigError(f"{file} can't be written: {error}") from error
    typer.echo(f"{file}: without it nobody can read the store; keep a copy elsewhere")


def _run_line(run: Run, *, is_alive: bool) -> str:
    if is_alive and not run.ended:
        return (
            f"run {run.number}: since {_time(run.started)}, {run.recorded} recorded, "
            f"{run.missing} missing: still being recorded"
        )
    whole = "complete" if run.is_complete else "NOT complete"
    end = _time(run.ended) if run.ended else f"cut off after {_time(run.seen)}"
    span = f"{_time(run.started)} to {end}" if run.started else f"until {end}"  # imported
    return f"run {run.number}: {span}, {run.recorded} recorded, {run.missing} missing: {whole}"


def _time(stamp_ns: int) -> str:
    if not stamp_ns:
        return ""
    return datetime.fromtimestamp(stamp_ns / NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _number(value: int) -> str:
    return str(value) if value else ""
