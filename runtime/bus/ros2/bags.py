"""Bags of ROS 2: what `ros2 bag record` left, in sqlite or MCAP, message by message.

Source: rosbag2_storage_sqlite3's schema (tables `topics` and `messages`), and MCAP's own reader.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from olympus.runtime.bus.ros2.definitions import check_type_name
from olympus.runtime.bus.ros2.mapping import Context, Mapper, Times
from olympus.runtime.bus.ros2.mcap_library import file_errors, library
from olympus.runtime.errors import MessageError, StoreError
from olympus.runtime.messages import Message

_READ = (
    "SELECT t.name, t.type, t.serialization_format, m.timestamp, m.data "
    "FROM messages m JOIN topics t ON m.topic_id = t.id ORDER BY m.timestamp, m.id"
)


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


def read_bag(path: Path) -> Iterator[BagMessage]:
    """Yield the messages of a bag in the order in which they were recorded.

    Args:
        path: A `.db3` or `.mcap` file, or the folder of a bag with several.

    Raises:
        StoreError: It is no bag, is damaged, or needs a package that is not installed.
    """
    for file in _files(path):
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
    now = [0]
    times = Times(lambda: now[0], lambda: now[0])
    for one in bag:
        now[0] = one.stamp_ns
        ctx = Context(mapper.codecs, times=times, sent_ns=one.stamp_ns)
        try:
            value = mapper.codecs.get(one.type).decode(one.cdr)
            for part in mapper.each(value):
                yield one.topic.strip("/"), mapper.from_ros(part, None, ctx)
        except MessageError as error:
            yield one.topic.strip("/"), error


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = sorted(path.glob("*.db3")) + sorted(path.glob("*.mcap"))
        packed = sorted(path.glob("*.zstd"))
        if packed and not found:
            raise StoreError(f"{packed[0]} is compressed; unpack it with `zstd -d` first")
    else:
        found = [path] if path.suffix in (".db3", ".mcap") and path.is_file() else []
    if not found:
        raise StoreError(f"{path} is no bag of ROS 2; name a folder with .db3 or .mcap files in it")
    return found


def _of_sqlite(file: Path) -> Iterator[BagMessage]:
    try:
        with closing(sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)) as base:
            for topic, type_, form, stamp_ns, data in base.execute(_READ):
                if form == "cdr":
                    yield _checked(file, topic, type_, stamp_ns, data)
    except sqlite3.Error as error:
        raise StoreError(f"{file}: {error}; is it a bag, and whole?") from error


def _of_mcap(file: Path) -> Iterator[BagMessage]:
    with file_errors(f"reading {file}"), file.open("rb") as stream:
        reader = library("reader").make_reader(stream, validate_crcs=True)
        for schema, channel, message in reader.iter_messages():
            if channel.message_encoding == "cdr" and schema is not None:
                yield _checked(file, channel.topic, schema.name, message.log_time, message.data)


def _checked(
    file: Path, topic: object, type_: object, stamp_ns: object, data: object
) -> BagMessage:
    if not (isinstance(topic, str) and isinstance(type_, str) and isinstance(stamp_ns, int)):
        raise StoreError(f"{file}: a row that is no message; is it a bag?")
    if not isinstance(data, bytes):
        raise StoreError(f"{file}: {topic} holds {type(data).__name__} where bytes are needed")
    return BagMessage(topic, check_type_name(type_), stamp_ns, data)
