"""`olympus store follow` and `consumers`: reading on where one stopped, and who does."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import BusError, MessageError, StoreError, did_you_mean
from olympus.runtime.messages import decode, read_header, schema_by_class
from olympus.runtime.messages.plain import plain
from olympus.runtime.store import StreamStore
from olympus.runtime.store.consumers import Mark, read_marks
from olympus.runtime.store.consuming import MOST_COUNTED, Batch, Start, unread_of
from olympus.runtime.store.following import Follower, follow
from olympus.runtime.store.records import Record

PERIOD_S = 1.0
"""What was printed is acknowledged at most so often: each time costs the recorder a few rows."""
PATIENCE_S = 30.0
"""How long it goes on without anybody taking its acknowledgements."""


async def print_on(
    folder: Path,
    name: str,
    topics: list[str],
    *,
    session: str | None,
    start: Start,
    key: str,
    live: bool,
    full: bool,
) -> None:
    """Print what a consumer has not read yet, a line of JSON each, and acknowledge it.

    Raises:
        StoreError: The store can't be read, or another process has the name.
        BusError: For a while nobody has taken the acknowledgements.
    """
    async with follow(
        folder, name, tuple(topics), session=session, start=start, key=key
    ) as follower:
        keeper = _Keeper(follower)
        try:
            async for batch in follower.batches(live=live, idle_s=PERIOD_S):
                _print(batch, full=full)
                await keeper.on_printed(batch)
        finally:
            await keeper.finish()


class _Keeper:
    """Acknowledges now and then, and bears with a recorder that is away for a moment."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._batch: Batch | None = None
        self._last = self._heard = time.monotonic()

    async def on_printed(self, batch: Batch) -> None:
        """Take notice of what was dealt with.

        Raises:
            BusError: For a while nobody has taken it.
        """
        if batch:
            self._batch = batch
        now = time.monotonic()
        if now - self._last < PERIOD_S:
            return
        self._last = now
        try:
            await self.finish()
        except BusError as error:
            if now - self._heard > PATIENCE_S:
                raise
            typer.echo(f"not acknowledged yet: {error}", err=True)

    async def finish(self) -> None:
        """Acknowledge what has not been.

        Raises:
            BusError: Nobody takes it.
        """
        if self._batch is not None:
            await self._follower.acknowledge(self._batch)
        self._batch, self._heard = None, time.monotonic()


def _print(batch: Batch, *, full: bool) -> None:
    for topic, count in batch.removed.items():
        typer.echo(f"{count} messages of {topic} were removed before they were read", err=True)
    for gap in batch.gaps:
        last = gap.after_seq + gap.missing
        typer.echo(
            f"missing: {gap.topic} no. {gap.after_seq + 1} to {last} of {gap.source}: {gap.reason}",
            err=True,
        )
    for text in batch.damaged:
        typer.echo(f"damaged: {text}", err=True)
    for record in batch.records:
        typer.echo(json.dumps(_told(record, full=full), allow_nan=False))


def _told(record: Record, *, full: bool) -> dict[str, object]:
    told: dict[str, object] = {"topic": record.topic, "arrived": record.arrived}
    try:
        message = decode(record.frame)
    except MessageError as error:
        name = read_header(record.frame)[0]
        return told | {"type": name, "stamp": record.stamp, "seq": record.seq, "error": str(error)}
    fields: dict[str, object] = plain(message, full=full)
    return {**told, "type": schema_by_class(type(message)).name, **fields}


def show(folder: Path, *, as_json: bool) -> None:
    """Show the consumers of a store, and how far behind they are."""
    with StreamStore(folder, read_only=True) as store:
        with store.file.view() as view:
            marks = sorted(read_marks(view).values(), key=lambda mark: mark.consumer)
        unread = {mark.consumer: unread_of(store, mark) for mark in marks}
    if as_json:
        typer.echo(json.dumps([_row(mark, unread[mark.consumer]) for mark in marks]))
        return
    if not marks:
        typer.echo("no consumers yet; `olympus store follow TOPICS --as NAME` makes one", err=True)
        return
    table = Table(box=None, pad_edge=False)
    for head in ("consumer", "reads", "unread", "removed unread", "last heard"):
        table.add_column(head, justify="left" if head in ("consumer", "reads") else "right")
    for mark in marks:
        count = unread[mark.consumer]
        more = "+" if count == MOST_COUNTED else ""
        at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(mark.at / NS_PER_S)) if mark.at else ""
        removed = str(_removed(mark))
        table.add_row(mark.consumer, " ".join(mark.topics), f"{count}{more}", removed, at)
    Console(highlight=False, soft_wrap=True, markup=False, emoji=False).print(table)


async def remove(folder: Path, name: str, *, session: str | None, key: str) -> None:
    """Have a store forget a consumer.

    Raises:
        StoreError: It knows none of that name, or it is at work.
        BusError: The recorder does not answer.
    """
    with StreamStore(folder, read_only=True) as store, store.file.view() as view:
        marks = read_marks(view)
    if name not in marks:
        raise StoreError(f"{folder} has no consumer {name!r}; {did_you_mean(name, marks)}")
    topics = marks[name].topics
    async with follow(folder, name, topics, session=session, key=key) as follower:
        await follower.retire()


def _row(mark: Mark, unread: int) -> dict[str, object]:
    ends = [asdict(end) | {"key": end.key.hex()} for end in mark.ends.values()]
    told = {"consumer": mark.consumer, "topics": mark.topics, "since": mark.since, "at": mark.at}
    return told | {"unread": unread, "removed": _removed(mark), "ends": ends}


def _removed(mark: Mark) -> int:
    return sum(end.removed for end in mark.ends.values())
