"""Keeps the audit log: what the guardian did and what people asked for, signed, in a chain.

The guardian writes its events to a file of the session, after the act; this follows the file, so
that nothing of a signature or a disk stands in the way of a stop, and what happened while this was
down is read when it is back.
"""

from __future__ import annotations

# varies throughout: this writes to a disk, and nothing hears it
import asyncio
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from olympus.nodes.guardian_events import NewLines, Place
from olympus.runtime.errors import ConfigError, StoreError
from olympus.runtime.messages import AuditAnchor, Command
from olympus.runtime.node import Field, Node, NodeParams, output, subscribe, timer
from olympus.runtime.qos import QoS
from olympus.runtime.safety.events import FILE as EVENTS
from olympus.runtime.security.chain import NOTHING, Anchor, Record, sealed
from olympus.runtime.security.keys import KEY_BYTES, SigningKey, make_key, read_key
from olympus.runtime.store.audit import FILE, AuditLog
from olympus.runtime.store.places import keys, store_of

Entry = tuple[int, str, Mapping[str, Any]]
"""Robot time in ns, kind, body."""
UNREADABLE = "unreadable"
"""Kind of a record of an event that could not be read."""
LOOK_S = 0.05
"""How often one looks for what the guardian wrote. A power cut loses at most what happened within
this time and that of the commit under way: the guardian's own file is in memory."""
LONGEST = 20_000
"""More characters of a text are not signed, only how many there were and their hash."""

_NOBODY = SigningKey(bytes(KEY_BYTES))
"""Signs what is only tried."""


class Audit(Node):
    """Signs what the guardian and people did."""

    class Params(NodeParams):
        """Where the log and its key are."""

        path: str = Field(
            "", description="Folder of the log; empty: ~/.local/share/olympus/SESSION."
        )
        key_file: str = Field(
            "",
            description="Private key, readable by its owner alone, made at the first start; empty: "
            "~/.config/olympus/audit.key.",
        )

    is_replayed = False

    params: Params
    anchor = output("/audit/anchor", AuditAnchor, latched=True)

    async def on_configure(self) -> None:
        """Open the log, and look how far it has got in this session.

        Raises:
            ConfigError: There is no session, or the key can't be used.
            StoreError: The log can't be opened, or another process has it.
        """
        if self.session is None:
            raise ConfigError(f"{self.name}: runs only within a session, with a guardian")
        name, offset = self.session.name, self.session.clock_offset_ns
        self._events = NewLines(self.session.safety_dir / EVENTS)
        self._of_session = f"{name}@{offset}"
        self._signed: dict[str, int] = {}
        self._waiting: list[Entry] = []
        self._trouble = ""
        self.recorded = 0
        folder = Path(self.params.path).expanduser() if self.params.path else store_of(name)
        key = await asyncio.to_thread(self._key)
        self.log_file = await asyncio.to_thread(self._opened, folder / FILE, key)
        if self.log_file.problem:
            self.log.error(f"audit log: {self.log_file.problem}", file=str(self.log_file.file))
        self._public = key.public

    async def on_activate(self) -> None:
        """Say how far the log is."""
        self._tell()

    async def on_deactivate(self) -> None:
        """Sign what has come."""
        await self._sign()

    async def on_cleanup(self) -> None:
        """Close the log."""
        self.log_file.close()

    @subscribe("said", qos=QoS.lossless(), is_optional=True)
    def on_said(self, command: Command) -> None:
        """Take down what people asked for by a call, which the node that was asked tells."""
        self.on_command(command)

    @subscribe("command", qos=QoS.lossless())
    def on_command(self, command: Command) -> None:
        """Take down what people asked for."""
        args = json.dumps(dict(command.args), sort_keys=True)
        body: dict[str, Any] = {"text": _short(command.text), "verb": _short(command.verb)}
        body |= {"args": dict(command.args) if len(args) <= LONGEST else _short(args)}
        body |= {"from": _short(command.header.source), "seq": command.header.seq}
        self._waiting.append((command.header.stamp, "command", body))

    @timer(LOOK_S)
    async def on_look(self) -> None:
        """Sign what is new, if anything is."""
        if self._waiting or self._events.has_grown():
            await self._sign()

    async def _sign(self) -> None:
        waiting, self._waiting = self._waiting, []
        try:
            count = await asyncio.to_thread(self._write, waiting)
        except StoreError as error:
            self._waiting = waiting + self._waiting
            if str(error) != self._trouble:
                self.log.error(str(error), waiting=len(self._waiting))
            self._trouble = str(error)
            return
        self._trouble = ""
        self.recorded += count
        if count:
            self._tell()

    def _write(self, waiting: list[Entry]) -> int:
        """Sign what waits and what is new in the guardian's file.

        Returns:
            How many were signed.

        Raises:
            StoreError: Nothing could be signed.
        """
        before = self._events.place
        events = self._new_events()
        try:
            self._append([*waiting, *events])
        except StoreError:
            self._events.place = before
            raise
        if events:
            place = self._events.place
            self._signed[place.file_id] = place.lines
        return len(waiting) + len(events)

    def _append(self, entries: list[Entry]) -> None:
        """Sign entries; in place of one that can't be a record stands that it was there."""
        try:
            self.log_file.append(entries)
        except ConfigError:
            self.log_file.append([_plain(entry) for entry in entries])

    def _new_events(self) -> list[Entry]:
        return [
            self._entry(place, line)
            for place, line in self._events.news()
            if place.lines > self._signed.get(place.file_id, 0)
        ]

    def _entry(self, place: Place, line: bytes) -> Entry:
        where = {"session": self._of_session, "file": place.file_id, "line": place.lines}
        try:
            if len(line) > LONGEST:
                raise ValueError("too long for an event")
            event = json.loads(line, parse_constant=_no_number)
            return int(event["stamp_ns"]), str(event["event"]), {**event, **where}
        except (ValueError, TypeError, KeyError, RecursionError):
            text = line.decode(errors="replace")[:1000]
            return self.clock.now_ns(), UNREADABLE, {"text": text, **where}

    def _opened(self, file: Path, key: SigningKey) -> AuditLog:
        about = {"session": self._of_session}
        return AuditLog(file, key, at_ns=self.clock.now_ns(), about=about, seen=self._remember)

    def _remember(self, record: Record) -> None:
        file_id, line = record.body.get("file"), record.body.get("line")
        if isinstance(file_id, str) and isinstance(line, int):
            self._signed[file_id] = max(self._signed.get(file_id, 0), line)

    def _key(self) -> SigningKey:
        named = self.params.key_file
        file = Path(named).expanduser() if named else keys() / "audit.key"
        if file.exists():
            return read_key(file)
        try:
            key = make_key(file)
        except ConfigError:
            if not file.exists():
                raise
            return read_key(file)  # somebody else was quicker
        self.log.info("made a key for the audit log", file=str(file), public=key.public)
        return key

    def _tell(self) -> None:
        head = self.log_file.head
        self.anchor.publish(AuditAnchor(number=head.number, hash=head.hash, public=self._public))


def _short(text: str) -> str:
    """Return a text, or its beginning with the length and the hash of all of it."""
    if len(text) <= LONGEST:
        return text
    digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
    return f"{text[:200]}… ({len(text)} characters, SHA-256 {digest})"


def _plain(entry: Entry) -> Entry:
    """Return an entry, or what can be said of it when it is no JSON or too long for a record."""
    at_ns, kind, body = entry
    try:
        sealed(_NOBODY, Anchor(0, NOTHING), at_ns, kind, body)
    except ConfigError as error:
        where = {name: body[name] for name in ("session", "file", "line") if name in body}
        told = {"kind": _short(kind), "text": _short(repr(body)), "problem": _short(str(error))}
        return at_ns, UNREADABLE, {**told, **where}
    return entry


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
