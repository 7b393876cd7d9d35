"""Bags of ROS 2: what `ros2 bag record` left, in sqlite or MCAP, message by message.

Source: rosbag2_storage_sqlite3's schema (tables `topics` and `messages`), and MCAP's own reader.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from olympus.runtime.bus.ros2.definitions import check_type_name
from olympus.runtime.bus.ros2.mapping import Context, Mapper, Times
from olympus.runtime.bus.ros2.mcap_library import file_errors, library
from olympus.runtime.bus.ros2.travelling import BagTypes, Told
from olympus.runtime.errors import MessageError, StoreError
from olympus.runtime.messages import Message

_READ = (
    "SELECT t.id, t.name, t.type, t.serialization_format, m.timestamp, m.data "
    "FROM messages m JOIN topics t ON m.topic_id = t.id ORDER BY m.timestamp, m.id"
)
_HASHES = "SELECT id, type_description_hash FROM topics"
_TEXTS = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
_NOTHING = Told()
TYPE_HASH = "topic_type_hash"
"""As rosbag2 names it: RIHS01 of an MCAP channel's type."""


@dataclass(frozen=True, slots=True)
class BagMessage:
    """One message of a bag."""

    topic: str
    """Full ROS name."""
    type: str
    """Full name of its ROS type."""
    stamp_ns: int
    """When it was recorded, Unix time."""
    cdr: bytes
    told: Told = _NOTHING
    """What the bag says of its type."""


def read_bag(path: Path) -> Iterator[BagMessage]:
    """Yield the messages of a bag in the order in which they were recorded.

    Args:
        path: A `.db3` or `.mcap` file, or the folder of a bag with several.

    Raises:
        StoreError: It is no bag, is damaged, or needs a package that is not installed.
    """
    for file in bag_files(path):
        yield from _of_sqlite(file) if file.suffix == ".db3" else _of_mcap(file)


def as_messages(
    bag: Iterator[BagMessage], mapper: Mapper
) -> Iterator[tuple[str, Message | MessageError]]:
    """Yield a bag's messages as ours, each with its topic; stamps stay Unix time.

    Args:
        bag: As `read_bag` yields it.
        mapper: Knows the types.

    Yields:
        Topic without its first slash, and the message, or why it can't be read.
    """
    now, types = [0], BagTypes(mapper)
    times = Times(lambda: now[0], lambda: now[0])
    for one in bag:
        now[0] = one.stamp_ns
        ctx = Context(mapper.codecs, times=times, sent_ns=one.stamp_ns)
        try:
            for message in types.messages(one.type, one.told, one.cdr, ctx):
                yield one.topic.strip("/"), message
        except MessageError as error:
            yield one.topic.strip("/"), error


def bag_files(path: Path) -> list[Path]:
    """Return the files of a bag, in their order.

    Raises:
        StoreError: There are none, or some that would be left out.
    """
    if not path.is_dir():
        if path.suffix in (".db3", ".mcap") and path.is_file():
            return [path]
        raise StoreError(f"{path} is no bag of ROS 2; name a folder with .db3 or .mcap files in it")
    packed = sorted(path.glob("*.zstd"))
    if packed:
        raise StoreError(f"{packed[0]} is compressed; unpack it with `zstd -d` first")
    sqlite, mcap = list(path.glob("*.db3")), list(path.glob("*.mcap"))
    if sqlite and mcap:
        raise StoreError(f"{path} holds .db3 and .mcap files, so it is no one bag; name one file")
    if not sqlite and not mcap:
        raise StoreError(f"{path} is no bag of ROS 2; name a folder with .db3 or .mcap files in it")
    return sorted(sqlite or mcap, key=_in_order)


def _in_order(file: Path) -> list[tuple[int, str]]:
    """Return what puts the parts of a split bag in order: `drive_10` comes behind `drive_9`."""
    parts = re.findall(r"[0-9]+|[^0-9]+", file.name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def _of_sqlite(file: Path) -> Iterator[BagMessage]:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as base:
            told = _told(base)
            for number, topic, type_, form, stamp_ns, data in base.execute(_READ):
                if form == "cdr":
                    what = told.get(number, _NOTHING)
                    yield _checked(file, topic, type_, stamp_ns, data, what)
    except sqlite3.Error as error:
        raise StoreError(
            f"{file}: {error}; is it a bag, and whole? `sqlite3 {file} .recover | sqlite3 new.db3` "
            "makes a whole one of what a damaged one holds"
        ) from error


def _told(base: sqlite3.Connection) -> dict[int, Told]:
    """Return what the bag says of its topics' types, by number; older bags say nothing.

    Source: rosbag2_storage_sqlite3, schema versions 3 (2022) and 4 (2023).
    """
    tables = {name for (name,) in base.execute("SELECT name FROM sqlite_master")}
    columns = {row[1] for row in base.execute("PRAGMA table_info(topics)")}
    texts: dict[object, tuple[str, bytes]] = {}
    if "message_definitions" in tables:
        for type_, encoding, text in base.execute(_TEXTS):
            if isinstance(encoding, str) and isinstance(text, str | bytes):
                texts[type_] = encoding, text.encode() if isinstance(text, str) else text
    hashes: dict[int, object] = {}
    if "type_description_hash" in columns:
        hashes = dict(base.execute(_HASHES))
    return {
        number: Told(*texts.get(type_, ("", b"")), hash=str(hashes.get(number) or ""))
        for number, type_ in base.execute("SELECT id, type FROM topics")
    }


def _of_mcap(file: Path) -> Iterator[BagMessage]:
    with file_errors(f"reading {file}"), file.open("rb") as stream:
        reader = library("reader").make_reader(stream, validate_crcs=True)
        for schema, channel, message in reader.iter_messages():
            if channel.message_encoding == "cdr" and schema is not None:
                told = told_of(schema, channel)
                yield _checked(
                    file, channel.topic, schema.name, message.log_time, message.data, told
                )


def told_of(schema: Any, channel: Any) -> Told:
    """Return what an MCAP file says of a channel's type."""
    if schema is None:
        return _NOTHING
    return Told(schema.encoding, schema.data, channel.metadata.get(TYPE_HASH, ""))


def _checked(
    file: Path, topic: object, type_: object, stamp_ns: object, data: object, told: Told
) -> BagMessage:
    if not (isinstance(topic, str) and isinstance(type_, str) and isinstance(stamp_ns, int)):
        raise StoreError(f"{file}: a row that is no message; is it a bag?")
    if not isinstance(data, bytes):
        raise StoreError(f"{file}: {topic} holds {type(data).__name__} where bytes are needed")
    with suppress(MessageError):  # else it is refused by its name, message by message
        type_ = check_type_name(type_)
    return BagMessage(topic, type_, stamp_ns, data, told)
