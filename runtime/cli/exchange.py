"""`olympus store export` and `import`: recordings as files that other tools open."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from olympus.runtime.bus.ros2.catalogue import catalogue_of
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import ConfigError, OlympusError, StoreError
from olympus.runtime.store import StreamStore
from olympus.runtime.store.mcap import Form, export_mcap, import_bag
from olympus.runtime.store.mcap.export import chosen_topics
from olympus.runtime.store.reading import END_OF_TIME
from olympus.runtime.store.upkeep import topic_rows

SHOWN_REASONS = 20
WHEN = "A time, 2026-11-27T14:03 (UTC), or +90: seconds after the beginning."
COMPRESSIONS = ("zstd", "lz4", "none")


def export(
    folder: Path,
    target: Path,
    *,
    form: Form,
    topics: list[str],
    since: str,
    until: str,
    compression: str,
    key: str,
) -> int:
    """Write a recording as an MCAP file and say what became of it.

    Returns:
        So many messages are in it.

    Raises:
        ConfigError: A time or the compression is not understood.
        StoreError: It can't be written.
    """
    if compression not in COMPRESSIONS:
        raise ConfigError(f"--compression {compression!r}: one of {', '.join(COMPRESSIONS)}")
    with StreamStore(folder, read_only=True, key=key) as store:
        chosen = set(chosen_topics(store, topics))
        rows = [row for row in topic_rows(store) if row.topic in chosen]
        began = min((row.first for row in rows if row.messages), default=0)
        with progress(sum(row.messages for row in rows), "exporting") as told:
            done = export_mcap(
                store,
                target,
                form=form,
                topics=topics,
                since=moment(since, began, 0),
                until=moment(until, began, END_OF_TIME),
                compression=compression,
                progress=told,
            )
    count, size = done.messages.total(), done.size / 1e6
    typer.echo(f"{target}: {count} messages of {len(done.messages)} topics, {size:.1f} MB")
    _tell_refused(done.refused, "could not be said in this form; --as frames takes all")
    return count


def take_in(bag: Path, folder: Path, *, key: str, interfaces: list[Path], name: str = "") -> None:
    """Take an MCAP file or a bag into a store and say what became of it.

    Args:
        bag: What to read.
        folder: Of the store.
        key: Of an encrypted store.
        interfaces: Folders of the user's own interfaces.
        name: What the store is called when it is said what came in; its folder when left out.

    Raises:
        OlympusError: It can't be read, or the store can't be written.
        StoreError: It is not there.
    """
    if not bag.exists():
        raise StoreError(f"{bag} is not there; name an MCAP file or the folder of a ROS 2 bag")
    is_new, runs = not folder.exists(), 0
    try:
        with StreamStore(folder, key=key) as store, progress(None, "importing") as told:
            runs = len(store.runs())
            catalogue = catalogue_of("jazzy", interfaces)
            done = import_bag(bag, store, catalogue=catalogue, progress=told)
    except OlympusError:
        if is_new and folder.exists() and not _has_topics(folder):
            shutil.rmtree(folder)
        elif not name and folder.exists():
            _tell_kept(folder, key, runs)
        raise
    count = done.messages.total()
    missing = f", {done.missing} missing" if done.missing else ""
    typer.echo(f"{name or folder}: {count} messages of {len(done.messages)} topics{missing}")
    _tell_refused(done.refused, "could not be read")


def _tell_kept(folder: Path, key: str, before: int) -> None:
    """Say what of a damaged bag is in the store nonetheless, which had so many runs before."""
    with StreamStore(folder, read_only=True, key=key) as store:
        for run in store.runs()[before:]:
            typer.echo(
                f"{folder}: {run.recorded} messages that came before the damage are kept as run "
                f"{run.number}, which has no end",
                err=True,
            )


def _has_topics(folder: Path) -> bool:
    with StreamStore(folder, read_only=True) as store:
        return bool(store.topics())


def moment(text: str, began: int, default: int) -> int:
    """Return the robot time that somebody wrote, ns.

    Args:
        text: As `WHEN` says; empty for the default.
        began: Beginning of the recording, ns.
        default: What empty means.

    Raises:
        ConfigError: It is no time.
    """
    if not text:
        return default
    if re.fullmatch(r"\+\d+(\.\d+)?", text):
        return began + round(float(text) * NS_PER_S)
    try:
        given = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"{text!r} is no time; write 2026-11-27T14:03 or +90") from None
    if given.tzinfo is None:
        given = given.replace(tzinfo=UTC)
    return round(given.timestamp() * 1e6) * 1000


@contextmanager
def progress(total: int | None, what: str) -> Iterator[Callable[[int], None]]:
    """Show how far something is, on a terminal; elsewhere nothing."""
    columns = (TextColumn(what), BarColumn(), TextColumn("{task.completed}"), TimeRemainingColumn())
    console = Console(stderr=True)
    hidden = not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.update(task, completed=count)


def _tell_refused(refused: Counter[str], what: str) -> None:
    if not refused:
        return
    typer.echo(f"{refused.total()} messages {what}:", err=True)
    for reason, count in refused.most_common(SHOWN_REASONS):
        typer.echo(f"  {count}  {reason}", err=True)
