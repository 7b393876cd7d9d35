"""Damaged bags, as a person hands them to the command: one line says what, and the way out."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from mcap.writer import CompressionType, Writer
from typer.testing import CliRunner, Result

from olympus.runtime.cli.app import make
from olympus.runtime.store import StreamStore

BEGAN = 1_700_000_000_000_000_000
HELLO = b"\0\1\0\0\6\0\0\0hello\0"


def written(file: Path, count: int = 400) -> bytes:
    """Write a bag of many chunks; return its bytes."""
    with file.open("wb") as stream:
        writer = Writer(stream, chunk_size=1024, compression=CompressionType.NONE)
        writer.start("ros2")
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data")
        channel = writer.register_channel("/chatter", "cdr", schema)
        for n in range(count):
            writer.add_message(channel, BEGAN + n, HELLO, BEGAN + n)
        writer.finish()  # type: ignore[no-untyped-call]
    return file.read_bytes()


def taken_in(bag: Path, store: Path) -> Result:
    shown = CliRunner().invoke(make(["store"]), ["store", "import", str(bag), str(store)])
    assert shown.exception is None or type(shown.exception).__module__.startswith("olympus"), shown
    return shown


def reason(shown: Result) -> str:
    """Return the one line in which a command that failed says why."""
    assert shown.exception is not None
    text = str(shown.exception)
    assert "\n" not in text
    return text


def test_what_came_before_the_damage_is_kept_and_said(tmp_path: Path) -> None:
    bag, store = tmp_path / "a.mcap", tmp_path / "store"
    data = bytearray(written(bag))
    middle = data.index(HELLO, len(data) // 3)
    data[middle + 8] ^= 1  # its chunk's checksum is wrong now
    bag.write_bytes(data)
    shown = taken_in(bag, store)
    assert "crc" in reason(shown).lower()
    with StreamStore(store, read_only=True) as opened:
        (run,) = opened.runs()
        count = opened.count("chatter")
    assert run.ended == 0
    assert 0 < run.recorded == count < 400
    assert f"{count} messages that came before the damage are kept as run 1" in shown.output


@pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.99])
def test_a_cut_mcap_file_names_the_way_out_and_leaves_nothing(part: float, tmp_path: Path) -> None:
    bag, store = tmp_path / "a.mcap", tmp_path / "store"
    data = written(bag)
    bag.write_bytes(data[: int(len(data) * part)])
    text = reason(taken_in(bag, store))
    assert str(bag) in text
    assert ": ;" not in text
    assert "mcap recover" in text
    assert not store.exists()


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_cut_sqlite_bag_is_named(part: float, tmp_path: Path) -> None:
    bag, store = tmp_path / "a.db3", tmp_path / "store"
    with sqlite3.connect(bag) as base:
        base.executescript(
            "CREATE TABLE topics(id INTEGER PRIMARY KEY, name, type, serialization_format);"
            "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, data);"
            "INSERT INTO topics VALUES (1, '/chatter', 'std_msgs/msg/String', 'cdr');"
        )
        rows = [(1, BEGAN + n, HELLO) for n in range(2000)]
        base.executemany("INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)", rows)
    base.close()
    data = bag.read_bytes()
    bag.write_bytes(data[: int(len(data) * part)])
    text = reason(taken_in(bag, store))
    assert f"{bag}: database disk image is malformed" in text
    assert ".recover" in text
    assert not store.exists()
