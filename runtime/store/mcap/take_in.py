"""Reading MCAP files and ROS 2 bags into a store."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from olympus.runtime.bus.ros2.bags import bag_files, read_bag, told_of
from olympus.runtime.bus.ros2.catalogue import Catalogue, catalogue_of
from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.bus.ros2.mapping import Context, Mapper, Times
from olympus.runtime.bus.ros2.mcap_library import file_errors, library
from olympus.runtime.bus.ros2.travelling import BagTypes, Told, as_it_came
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import MessageError, StoreError, StoreFullError
from olympus.runtime.messages import (
    CameraInfo,
    Header,
    Image,
    Message,
    RosValue,
    decode,
    schema_by_name,
)
from olympus.runtime.messages.as_json import from_json
from olympus.runtime.store.ledger import Gap, Run
from olympus.runtime.store.mcap.words import (
    ABOUT,
    CDR,
    DEFINITIONS,
    FRAME,
    GAPS,
    JSON,
    SOURCE,
    TOPIC,
    TYPE,
)
from olympus.runtime.store.streams import Incoming, StreamStore

_AT_ONCE = 256
_AT_ONCE_BYTES = 16 * 2**20
_NEAR_NS = 10 * NS_PER_S
"""A stamp that far from when its message came, less what is usual, is that of another time."""
Unread = tuple[str, str]
"""Topic, and why its message can't be read."""


@dataclass(slots=True)
class Imported:
    """What became of an import."""

    messages: Counter[str] = field(default_factory=Counter)
    """Taken in, by topic."""
    refused: Counter[str] = field(default_factory=Counter)
    """Not taken in, by topic and reason."""
    missing: int = 0
    """Sum of the gaps."""


def import_bag(
    file: Path,
    store: StreamStore,
    *,
    catalogue: Catalogue | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Imported:
    """Take an MCAP file of ours, or a bag of ROS 2, into a store, as a run of its own.

    Args:
        file: `.mcap`, `.db3`, or the folder of a bag.
        store: Open for writing.
        catalogue: Knows the ROS types; None for the standard ones.
        progress: Told from time to time how many messages are dealt with.

    Returns:
        What was taken in, and what could not be read, by reason.

    Raises:
        StoreError: It is no bag, or damaged; what came before is kept, and the run has no end.
        StoreFullError: The store or the disk is full; likewise.
    """
    hearer = _Hearer(Codecs(catalogue or catalogue_of("jazzy")))
    gaps, sessions = _notes(file)
    about = {"imported from": file.name, "sessions": ", ".join(sessions)}
    run = Run(number=0, session=f"import {file.name}", started=0, seen=0, about=about)
    taking = _Taking(store, gaps, run, hearer.types)
    try:
        for number, one in enumerate(_arrivals(file, hearer)):
            taking.take(one)
            if number % _AT_ONCE == 0:
                progress(number)
    except StoreFullError:
        raise
    except StoreError:  # the file is damaged here
        taking.keep()
        raise
    taking.end()
    return taking.done


class _Span:
    """From when to when a file lasts, by the stamps of its messages.

    A stamp that is far from when its message came tells nothing of that: a frame that was fixed
    long ago, a clock that nobody had set. In a bag of a simulation all are far from it alike.
    """

    def __init__(self, first: Sequence[Incoming]) -> None:
        """Know the first messages, which tell how late messages come."""
        real = [one for one in first if one.arrived]
        late = sorted(one.arrived - one.stamp for one in real)
        self._late_ns = late[len(late) // 2] if late else 0
        stamps = [one.stamp for one in real if self._is_near(one)]
        self.began, self.ended = min(stamps, default=0), max(stamps, default=0)

    def take(self, batch: Sequence[Incoming]) -> None:
        """Last as long as some more messages say."""
        stamps = [one.stamp for one in batch if one.arrived and self._is_near(one)]
        self.ended = max(self.ended, *stamps, 0)

    def _is_near(self, one: Incoming) -> bool:
        return abs(one.arrived - self._late_ns - one.stamp) <= _NEAR_NS


class _Taking:
    """Collects batches, and puts the gaps that a file tells of where they belong."""

    def __init__(self, store: StreamStore, gaps: list[Gap], run: Run, types: BagTypes) -> None:
        self._store, self._batch, self._size = store, list[Incoming](), 0
        self._run, self._span = run, _Span(())
        self._types, self._told = types, 0
        self._gaps: dict[tuple[str, str], list[Gap]] = {}
        for gap in sorted(gaps, key=lambda gap: gap.after_seq, reverse=True):
            self._gaps.setdefault((gap.topic, gap.source), []).append(gap)
        self.done, self.newest = Imported(), 0

    def take(self, one: Incoming | Unread) -> None:
        """Take in the next message of the file."""
        if not isinstance(one, Incoming):
            self.done.refused[": ".join(one)] += 1
            return
        waiting = self._gaps.get((one.topic, one.source), [])
        while waiting and waiting[-1].after_seq < one.seq:
            self._batch.append(_missed(waiting.pop()))
        self._batch.append(one)
        self._size += len(one.frame)
        self.done.messages[one.topic] += 1
        self.newest = max(self.newest, one.arrived)
        if len(self._batch) >= _AT_ONCE or self._size > _AT_ONCE_BYTES:
            self._write()

    def end(self) -> None:
        """Write what is left, and the gaps behind the last messages; the run ends."""
        for waiting in self._gaps.values():
            self._batch += [_missed(gap) for gap in reversed(waiting)]
        self._write()
        self._store.end_run(self._span.ended)

    def keep(self) -> None:
        """Write what came before the damage; the run stays without an end."""
        if self._batch:
            self._write()

    def _write(self) -> None:
        if not self._run.number:
            self._span = _Span(self._batch)
            self._run = self._store.begin_run(replace(self._run, started=self._span.began))
        self._span.take(self._batch)
        gaps = self._store.add(self._batch, now_ns=self.newest)
        self.done.missing += sum(gap.missing for gap in gaps)
        self._batch, self._size = [], 0
        texts = self._types.texts()
        if len(texts) > self._told:  # what reads the messages later is kept with them
            self._store.tell({DEFINITIONS: json.dumps(texts)})
            self._told = len(texts)


def _missed(gap: Gap) -> Incoming:
    last = gap.after_seq + gap.missing
    return Incoming(gap.topic, gap.stamp, last, gap.source, 0, missed=gap.reason, count=gap.missing)


def _arrivals(file: Path, hearer: _Hearer) -> Iterator[Incoming | Unread]:
    """Yield what a file holds in the order in which it was recorded."""
    own = _mcap_files(file)
    for part in own:
        with file_errors(f"reading {part}"), part.open("rb") as stream:
            reader = library("reader").make_reader(stream, validate_crcs=True)
            for schema, channel, message in reader.iter_messages():
                yield from hearer.hear(
                    _Piece(
                        channel.metadata.get(TOPIC) or channel.topic.strip("/"),
                        channel.message_encoding,
                        schema.name if schema is not None else "",
                        message.data,
                        message.log_time,
                        seq=message.sequence,
                        about=channel.metadata,
                        told=told_of(schema, channel),
                    )
                )
    for one in read_bag(file) if not own else ():
        topic = one.topic.strip("/")
        piece = _Piece(topic, CDR, one.type, one.cdr, one.stamp_ns, told=one.told)
        yield from hearer.hear(piece)


def _notes(file: Path) -> tuple[list[Gap], list[str]]:
    """Return the gaps of which a file of ours tells, and the sessions of its runs.

    Raises:
        StoreError: The file is damaged.
    """
    gaps, sessions = list[Gap](), list[str]()
    for part in _mcap_files(file):
        with file_errors(f"reading {part}"), part.open("rb") as stream:
            for one in library("reader").make_reader(stream).iter_metadata():
                if one.name == GAPS:
                    gaps += [Gap(**row) for row in json.loads(one.metadata["gaps"])]
                if one.name == ABOUT:
                    sessions += [str(run["session"]) for run in json.loads(one.metadata["runs"])]
    return gaps, sessions


def _mcap_files(file: Path) -> list[Path]:
    return [one for one in bag_files(file) if one.suffix == ".mcap"]


@dataclass(frozen=True, slots=True)
class _Piece:
    """A message of a file."""

    topic: str
    encoding: str
    type: str
    data: bytes
    arrived: int
    seq: int = 0
    about: dict[str, str] = field(default_factory=dict)
    told: Told = field(default_factory=Told)


class _Hearer:
    """Turns what a file holds into messages of ours."""

    def __init__(self, codecs: Codecs) -> None:
        self._mapper = Mapper(codecs)
        self.types = BagTypes(self._mapper)
        times = Times(lambda: 0, lambda: 0)
        self._context = Context(codecs, times=times)
        self._counts: Counter[str] = Counter()
        self._sizes: dict[str, tuple[int, int]] = {}
        """Width and height of pictures, by the frame of their camera: ROS's boxes are in pixels."""

    def hear(self, piece: _Piece) -> Iterator[Incoming | Unread]:
        """Yield what a store takes in of a piece, or why it can't be read.

        Most are one message; a DiagnosticArray is as many as it has parts, each beside the others.
        """
        try:
            if piece.encoding == FRAME:
                message, frame = decode(piece.data), bytes(piece.data)
                header = message.header
                yield Incoming(
                    piece.topic, header.stamp, header.seq, header.source, piece.arrived, frame
                )
                return
            for one in self._messages(piece):
                yield Incoming.of(piece.topic, self._named(piece, one), arrived=piece.arrived)
        except MessageError as error:
            yield piece.topic, str(error)

    def _messages(self, piece: _Piece) -> list[Message]:
        if piece.encoding == JSON and TYPE in piece.about:
            return [from_json(piece.about[TYPE], _parsed(piece.data))]
        if piece.encoding != CDR:
            raise MessageError(f"{piece.type or 'a message'} in {piece.encoding!r} is not read")
        kind = schema_by_name(piece.about[TYPE]).cls if TYPE in piece.about else None
        if kind is not None:
            self._mapper.ros_type(kind)  # from now on its definition is known
        found = self.types.get(piece.type, piece.told)
        if found.text and kind not in (None, RosValue):
            raise MessageError(f"{piece.type} was of another definition when this was recorded")
        value = found.codec.decode(piece.data)
        ctx = replace(self._context, sent_ns=piece.arrived)
        if found.text:
            return [as_it_came(found, piece.data, ctx)]
        frame_id = getattr(getattr(value, "header", None), "frame_id", "")
        width, height = self._sizes.get(frame_id, (0, 0))
        ctx = replace(ctx, width=width, height=height)
        made = [self._mapper.from_ros(one, kind, ctx) for one in self._mapper.each(value)]
        for one in made:
            self._see(one)
        return made

    def _see(self, one: Message) -> None:
        """Remember the size of a camera's pictures."""
        if isinstance(one, Image):
            self._sizes[one.frame_id] = (one.data.shape[1], one.data.shape[0])
        elif isinstance(one, CameraInfo):
            self._sizes[one.frame_id] = (one.width, one.height)

    def _named(self, piece: _Piece, message: Message) -> Message:
        """Give a message the number and the publisher that ROS types have no word for."""
        if piece.encoding == JSON:
            return message
        if TYPE in piece.about:
            seq, source = piece.seq, piece.about.get(SOURCE, "")
        else:
            self._counts[piece.topic] += 1
            seq, source = self._counts[piece.topic], f"bag/{piece.topic}"
        header: Header = replace(message.header, seq=seq, source=source)
        return replace(message, header=header)


def _parsed(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError as error:
        raise MessageError(f"no JSON: {error}") from error
