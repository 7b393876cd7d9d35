"""`olympus store deadletters`: messages that could not be handled, and what to do about them."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from typer.core import TyperGroup

from olympus.runtime.bus import PublisherOptions
from olympus.runtime.cli.connect import AsJson, SessionName, bus_of, carry_out, graph_of
from olympus.runtime.cli.plain import as_text
from olympus.runtime.cli.stores import Key, Place, found
from olympus.runtime.cli.vocabulary import learn
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.config import find_session
from olympus.runtime.errors import BusError, ConfigError, MessageError, StoreError, nearest
from olympus.runtime.messages import decode, read_header
from olympus.runtime.messages.letters import DeadLetter, ForgetLetters
from olympus.runtime.messages.plain import plain
from olympus.runtime.store import StreamStore
from olympus.runtime.store.asking import ask_recorder, bus_of_recorder
from olympus.runtime.store.letters import Kept, find_letter, forgotten, read_letters

PATIENCE_S = 2.0
ON_ITS_WAY_S = 0.3
"""How long a message may be on its way before the command ends, s."""
In = Annotated[str | None, typer.Option("--store", help="Folder of the store, or the name.")]
Id = Annotated[str, typer.Argument(help="Id of the letter, as the list shows it.")]


class Letters(TyperGroup):
    """Lists them where no command is named: `deadletters`, `deadletters patrol --json`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # click's Context, or typer's own
        """Take what is no command, nor like one, for what is said to `list`."""
        word = args[0] if args else ""
        is_command = word in self.commands or word in ctx.help_option_names
        if not is_command and (_is_store(word) or nearest(word, self.commands) is None):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def _is_store(word: str) -> bool:
    try:
        found(word)
    except StoreError:
        return False
    return True


app = typer.Typer(
    cls=Letters,
    help="Messages that could not be handled: list (by itself), show, export, retry, forget.",
)


@app.command("list")
def list_(store: Place = None, as_json: AsJson = False, key: Key = "") -> None:
    """Show what could not be handled, the oldest first, and how much more was left out."""
    with StreamStore(found(store), read_only=True, key=key) as opened:
        kept = read_letters(opened)
    if as_json:
        typer.echo(json.dumps([_row(one) for one in kept]))
        return
    if not kept:
        typer.echo("no dead letters: no recorded message was refused", err=True)
        return
    table = Table(box=None, pad_edge=False)
    for head in ("id", "time", "topic", "no.", "node", "reason", "bytes", "error"):
        table.add_column(head, justify="right" if head in ("no.", "bytes") else "left")
    left_out: Counter[str] = Counter()
    for one in kept:
        letter = one.letter
        left_out.update(letter.left_out)
        if letter.topic:
            at = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(one.arrived / NS_PER_S))
            first_line = letter.text.partition("\n")[0][:80]
            who = (letter.topic, str(letter.seq or ""), letter.node, letter.reason)
            table.add_row(one.id, at, *who, str(letter.size or ""), first_line)
    Console(highlight=False, soft_wrap=True, markup=False, emoji=False).print(table)
    for what, count in left_out.most_common():
        topic, _, reason = what.rpartition(" ")
        typer.echo(f"{count} more of {topic or 'other topics'}, {reason}: they came too fast")


@app.command()
def show(letter: Id, store: In = None, as_json: AsJson = False, key: Key = "") -> None:
    """Show a letter, and the message in it if it can be read here."""
    with StreamStore(found(store), read_only=True, key=key) as opened:
        one = find_letter(opened, letter)
    content = _content(one.letter)
    if as_json:
        typer.echo(
            json.dumps(_row(one) | {"message": content if isinstance(content, dict) else None})
        )
        return
    for name, value in _row(one).items():
        typer.echo(f"{name}: {value}")
    typer.echo(
        content if isinstance(content, str) else as_text(decode(one.letter.payload.tobytes()))
    )


@app.command()
def export(letter: Id, file: Path, store: In = None, key: Key = "") -> None:
    """Write the bytes of the message, as it came, to a file.

    Raises:
        ConfigError: The file is there already, or can't be written.
    """
    with StreamStore(found(store), read_only=True, key=key) as opened:
        kept = find_letter(opened, letter).letter
    try:
        with file.open("xb") as stream:
            stream.write(kept.payload.tobytes())
    except OSError as error:
        raise ConfigError(f"{file} can't be written: {error}") from error
    typer.echo(f"{file}: {kept.payload.size} of {kept.size} bytes")


@app.command()
def retry(letter: Id, store: In = None, key: Key = "", session: SessionName = None) -> None:
    """Publish the message again on its topic; all who subscribe get it once more.

    It keeps its capture time and the time until when it is worth something: what has expired is not
    sent, so that no old command moves anything.
    """
    with StreamStore(found(store), read_only=True, key=key) as opened:
        kept = find_letter(opened, letter).letter
    carry_out(_send(kept, letter, session))
    typer.echo(f"{letter} was published on {kept.topic} once more")


@app.command()
def forget(
    letters: Annotated[list[str] | None, typer.Argument(help="Ids of letters.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of them.")] = False,
    store: In = None,
    key: Key = "",
    session: SessionName = None,
) -> None:
    """Remove letters from the store; `olympus store compact` overwrites what they left.

    Raises:
        ConfigError: Neither ids nor --all.
    """
    if bool(letters) == everything:
        raise ConfigError("name letters by their ids, or say --all")
    folder = found(store)
    question = ForgetLetters(
        folder=str(folder.resolve()), ids=tuple(letters or ()), is_everything=everything
    )

    async def work() -> None:
        bus = bus_of_recorder(folder, session)
        if bus is None:
            with StreamStore(folder, key=key) as writable:
                typer.echo(f"{folder}: {forgotten(writable, question).text}")
            return
        try:
            typer.echo(f"{folder}: {await ask_recorder(bus, question, timeout_s=30.0)}")
        finally:
            await bus.close()

    carry_out(work())


def _row(one: Kept) -> dict[str, object]:
    fields = plain(one.letter)
    header, _ = fields.pop("header"), fields.pop("payload")
    return {"id": one.id, "arrived": one.arrived, "host": header["source"], **fields}


def _content(letter: DeadLetter) -> dict[str, object] | str:
    if not letter.is_frame:
        return f"{letter.payload.size} of {letter.size} bytes, not a whole frame; `export` has them"
    try:
        content: dict[str, object] = plain(decode(letter.payload.tobytes()))
    except MessageError as error:
        return f"the message can't be read here: {error}"
    return content


async def _send(letter: DeadLetter, name: str, session: str | None) -> None:
    if not letter.is_frame:
        raise StoreError(f"of {name} not the whole message was kept: it can't be sent again")
    frame = letter.payload.tobytes()
    kind, header = read_header(frame)
    place = find_session(session)
    async with bus_of(place) as bus:
        if header.has_expired(bus.clock.now_ns()):
            late_s = (bus.clock.now_ns() - header.expires) / NS_PER_S
            raise StoreError(f"the message of {name} expired {late_s:.0f} s ago; it is not sent")
        learn({kind}, await graph_of(bus), place)
        message = decode(frame)
        options = PublisherOptions(node=bus.host, tier=message.header.tier, is_reliable=True)
        publisher = bus.publisher(letter.topic, type(message), options)
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_S
        while not publisher.is_heard:
            if loop.time() > until:
                raise BusError(f"nobody listens to {letter.topic}")
            await asyncio.sleep(0.02)
        publisher.publish(replace(message, header=replace(header, trace=())))
        await asyncio.sleep(ON_ITS_WAY_S)
