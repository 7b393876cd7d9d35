"""Writing a recording as an MCAP file."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from olympus.runtime.bus.ros2.bags import TYPE_HASH
from olympus.runtime.bus.ros2.catalogue import catalogue_of
from olympus.runtime.bus.ros2.cdr import Codecs
from olympus.runtime.bus.ros2.mapping import Context, Mapper, Times
from olympus.runtime.bus.ros2.mapping.own import PACKAGE
from olympus.runtime.bus.ros2.mcap_library import file_errors, library
from olympus.runtime.bus.ros2.names import ros_name
from olympus.runtime.bus.ros2.qos import LATCHED, RosQos, profile, usual
from olympus.runtime.bus.ros2.travelling import BagType, BagTypes, Told
from olympus.runtime.bus.topics import matches
from olympus.runtime.errors import MessageError, StoreError, did_you_mean
from olympus.runtime.messages import (
    Header,
    Message,
    RosValue,
    SafetyState,
    decode,
    read_header,
    schema_by_class,
)
from olympus.runtime.messages.as_json import json_schema, to_json
from olympus.runtime.store.mcap.words import (
    ABOUT,
    CDR,
    DEFINITIONS,
    DISTRO,
    FRAME,
    GAPS,
    JSON,
    JSON_SCHEMA,
    PROFILE,
    QOS,
    ROS_SCHEMA,
    ROSBAG,
    SOURCE,
    TOPIC,
    TYPE,
    Form,
)
from olympus.runtime.store.reading import END_OF_TIME, StreamReader
from olympus.runtime.store.records import Record

Progress = Callable[[int], None]
"""Told how many messages are dealt with."""
_TOLD_EVERY = 256
_SEQUENCES = 2**32
_GAPS_AT_ONCE = 1000


@dataclass(slots=True)
class Exported:
    """What became of an export."""

    messages: Counter[str] = field(default_factory=Counter)
    """Written, by topic."""
    refused: Counter[str] = field(default_factory=Counter)
    """Not written, by topic and reason."""
    size: int = 0
    """Of the file, bytes."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message in the form that it is written in."""

    encoding: str
    schema: tuple[str, str, bytes]
    """Name, encoding, data."""
    data: bytes
    type_hash: str = ""
    """RIHS01, of ROS types."""


def export_mcap(
    store: StreamReader,
    target: Path,
    *,
    form: Form = Form.ROS2,
    topics: Sequence[str] = (),
    since: int = 0,
    until: int = END_OF_TIME,
    compression: str = "zstd",
    progress: Progress = lambda _: None,
) -> Exported:
    """Write a recording, or a part of it, as an MCAP file.

    Args:
        store: The recording.
        target: The file; it must not be there. It gets its name when it is whole.
        form: As what messages are written.
        topics: Patterns of those that are wanted; none means all.
        since: First capture time, robot time in ns.
        until: Last capture time, inclusive.
        compression: Of the file's chunks: `zstd`, `lz4` or `none`.
        progress: Told from time to time how many messages are dealt with.

    Returns:
        What was written, and what could not be said in that form, by reason.

    Raises:
        StoreError: No topic fits, the file is there or can't be written, `mcap` is not installed.
        DamageError: The store is damaged; nothing is left of the file.
    """
    chosen = chosen_topics(store, topics)
    if target.exists():
        raise StoreError(f"{target} is there already; name another file, or move it away")
    draft = target.with_name(target.name + ".part")
    try:
        with file_errors(f"writing {target}"), draft.open("wb") as stream:
            writer = library("writer")
            kind = writer.CompressionType[compression.upper()]
            made = writer.Writer(stream, compression=kind)
            made.start(PROFILE if form is Form.ROS2 else "", library="olympus")
            work = _Export(made, _SPEAKERS[form](kept_types(store)))
            work.metadata(store, chosen, since, until)
            for number, record in enumerate(merged(store, chosen, since, until)):
                work.write(record)
                if number % _TOLD_EVERY == 0:
                    progress(number)
            made.finish()
        done = work.done
        done.size = draft.stat().st_size
        draft.rename(target)
    finally:
        if draft.exists():
            draft.unlink()
    return done


def chosen_topics(store: StreamReader, patterns: Sequence[str]) -> list[str]:
    """Return the topics of a recording that fit any of some patterns; all where there are none.

    Raises:
        StoreError: A pattern fits none.
    """
    known = store.topics()
    for pattern in patterns:
        if not any(matches(pattern, topic) for topic in known):
            raise StoreError(f"no recorded topic is {pattern!r}; {did_you_mean(pattern, known)}")
    return [t for t in known if not patterns or any(matches(p, t) for p in patterns)]


def merged(store: StreamReader, topics: Sequence[str], since: int, until: int) -> Iterator[Record]:
    """Yield the records of several topics in the order of their capture."""
    streams = [store.records(topic, since=since, until=until) for topic in topics]
    return heapq.merge(*streams, key=lambda record: (record.stamp, record.arrived))


class _Export:
    """Writes messages, and the channels and schemas that they need."""

    def __init__(self, writer: Any, speaker: _Speaker) -> None:
        self._writer, self._speaker = writer, speaker
        self._schemas: dict[tuple[str, str], int] = {}
        self._channels: dict[tuple[str, str, str], int] = {}
        self.done = Exported()

    def metadata(self, store: StreamReader, topics: Sequence[str], since: int, until: int) -> None:
        """Write what the recording knows of itself."""
        runs = [asdict(run) | {"is_complete": run.is_complete} for run in store.runs()]
        for run in runs:  # they are written again, as schemas
            run["about"].pop(DEFINITIONS, None)
        self._writer.add_metadata(ABOUT, {"runs": json.dumps(runs)})
        self._writer.add_metadata(ROSBAG, DISTRO)
        gaps = [
            asdict(gap)
            for gap in store.gaps()
            if gap.topic in topics and since <= gap.stamp <= until
        ]
        for start in range(0, len(gaps), _GAPS_AT_ONCE):
            part = json.dumps(gaps[start : start + _GAPS_AT_ONCE])
            self._writer.add_metadata(GAPS, {"gaps": part})

    def write(self, record: Record) -> None:
        """Write one message, or note why it can't be."""
        try:
            name, header = read_header(record.frame)
            said = self._speaker.say(record.frame)
        except MessageError as error:
            self.done.refused[f"{record.topic}: {error}"] += 1
            return
        self._writer.add_message(
            self._channel(record.topic, name, header, said),
            log_time=record.arrived,
            data=said.data,
            publish_time=header.trace[-1].sent if header.trace else header.stamp,
            sequence=record.seq % _SEQUENCES,
        )
        self.done.messages[record.topic] += 1

    def _channel(self, topic: str, name: str, header: Header, said: Said) -> int:
        key = topic, header.source, said.schema[0]
        if key not in self._channels:
            metadata = {TOPIC: topic, TYPE: name, SOURCE: header.source}
            title = ros_name(topic) if said.encoding == CDR else f"/{topic}"
            if said.type_hash:
                metadata[TYPE_HASH] = said.type_hash
                metadata[QOS] = _offered(name, title).in_bags
            self._channels[key] = self._writer.register_channel(
                title,
                said.encoding,
                self._schema(said),
                metadata,
            )
        return self._channels[key]

    def _schema(self, said: Said) -> int:
        name, encoding, data = said.schema
        if (name, encoding) not in self._schemas:
            self._schemas[name, encoding] = self._writer.register_schema(name, encoding, data)
        return self._schemas[name, encoding]


def _offered(type_: str, ros: str) -> RosQos:
    """Return with which quality of service the bridge shows such a topic."""
    is_latched = type_ == schema_by_class(SafetyState).name
    return LATCHED if is_latched else profile(usual(ros))


def kept_types(store: StreamReader) -> dict[str, BagType]:
    """Return the types that a recording brought along from bags, by name.

    Raises:
        StoreError: What it says of them can't be read, or two bags mean different things by a name.
    """
    types, found = BagTypes(Mapper(Codecs(catalogue_of("jazzy")))), dict[str, BagType]()
    for run in store.runs():
        for name, text in json.loads(run.about.get(DEFINITIONS, "{}")).items():
            one = types.get(name, Told(ROS_SCHEMA, text.encode()))
            if found.setdefault(name, one).codec.hash != one.codec.hash:
                raise StoreError(
                    f"{name} is not the same in all bags that were imported; export each from a "
                    "store of its own"
                )
    return found


class _Speaker:
    """Says messages in ROS's words."""

    def __init__(self, kept: Mapping[str, BagType]) -> None:
        self._kept = kept
        self._codecs = Codecs(catalogue_of("jazzy"))
        self._mapper = Mapper(self._codecs)
        self._ctx = Context(self._codecs, times=Times(lambda: 0, lambda: 0))
        self._schemas: dict[str, tuple[str, str, bytes]] = {}

    def say(self, frame: bytes) -> Said:
        """Return a stored message in this form.

        Raises:
            MessageError: It can't be said in it.
        """
        return self._as_ros(decode(frame))

    def _as_ros(self, message: Message) -> Said:
        if isinstance(message, RosValue) and (known := self._kept.get(message.type)):
            schema = message.type, ROS_SCHEMA, known.text.encode()
            return Said(CDR, schema, message.cdr.tobytes(), known.codec.hash)
        value = self._mapper.to_ros(message, ctx=self._ctx)
        codec = self._codecs.get(value.__ros_type__)
        if codec.name not in self._schemas:
            text = self._codecs.catalogue.schema_text(codec.name).encode()
            self._schemas[codec.name] = codec.name, ROS_SCHEMA, text
        return Said(CDR, self._schemas[codec.name], codec.encode(value), codec.hash)


class _JsonSpeaker(_Speaker):
    """Says standard types in ROS's words, and all others in JSON."""

    def say(self, frame: bytes) -> Said:
        """Return a stored message in this form."""
        message = decode(frame)
        if not self._mapper.ros_type(type(message)).startswith(f"{PACKAGE}/"):
            return self._as_ros(message)
        name = schema_by_class(type(message)).name
        if name not in self._schemas:
            schema = json.dumps(json_schema(type(message))).encode()
            self._schemas[name] = name, JSON_SCHEMA, schema
        data = json.dumps(to_json(message), separators=(",", ":"), allow_nan=False)
        return Said(JSON, self._schemas[name], data.encode())


class _FrameSpeaker(_Speaker):
    """Leaves messages as they are."""

    def say(self, frame: bytes) -> Said:
        """Return a stored message in this form."""
        return Said(FRAME, (read_header(frame)[0], "", b""), frame)


_SPEAKERS: dict[Form, Callable[[Mapping[str, BagType]], _Speaker]] = {
    Form.ROS2: _Speaker,
    Form.JSON: _JsonSpeaker,
    Form.FRAMES: _FrameSpeaker,
}
