"""Whatever a process writes, its log takes it."""

import json
import os
import time
from pathlib import Path

import pytest

from olympus.runtime.launch.hostlog import HostLog, LogLine


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("a library's own words", "a library's own words"),
        ('{"text": "opened", "level": "info"}', "opened"),
        ('{"text": "no file a\\udcff"}', "no file a\\udcff"),
        ('{"text": {"a": [1]}, "fields": 7, "level": null}', "{'a': [1]}"),
        ("[" * 50_000, "[" * 50_000),
        ('{"text":' * 50_000, '{"text":' * 50_000),
        ("1" * 5000, "1" * 5000),
    ],
)
def test_every_line_is_kept_and_shown(tmp_path: Path, written: str, shown: str) -> None:
    lines: list[LogLine] = []
    log = HostLog(tmp_path / "camera.jsonl", lambda: 7, lines.append)
    log.write(written)
    log.close()
    assert [line.text for line in lines] == [shown]
    assert lines[0].text.encode()
    (kept,) = [json.loads(row) for row in (tmp_path / "camera.jsonl").read_text().splitlines()]
    assert kept["stamp"] == 7


def test_a_disk_that_takes_its_time_holds_up_nobody(tmp_path: Path) -> None:
    slow = tmp_path / "camera.jsonl"
    os.mkfifo(slow)  # it takes 64 KiB, and then no more until somebody reads
    reader = os.open(slow, os.O_RDONLY | os.O_NONBLOCK)
    log = HostLog(slow, lambda: 7, lambda _: None)
    text = "x" * 1000
    for number in range(300):
        log.write(f"{number} {text}")
    assert [line.text.split()[0] for line in log.tail][-1] == "299"
    kept, until = b"", time.monotonic() + 10
    while kept.count(b"\n") < 300 and time.monotonic() < until:
        try:
            kept += os.read(reader, 65536)
        except BlockingIOError:
            time.sleep(0.01)
    numbers = [int(json.loads(row)["text"].split()[0]) for row in kept.splitlines()]
    assert (numbers, log.lost) == (list(range(300)), 0)
    log.close()
    os.close(reader)


def test_what_a_disk_does_not_take_for_long_is_counted(tmp_path: Path) -> None:
    stuck = tmp_path / "camera.jsonl"
    os.mkfifo(stuck)
    reader = os.open(stuck, os.O_RDONLY | os.O_NONBLOCK)
    lines: list[LogLine] = []
    log = HostLog(stuck, lambda: 7, lines.append)
    for _ in range(12_000):
        log.write("a line of a hundred letters " * 4)
    assert 0 < log.lost <= 2_000
    (told,) = [line for line in lines if not line.text.startswith("a line of")]
    assert told.text == f"{stuck} does not take every line: the disk is full, or too slow"
    os.close(reader)
    log.close()


@pytest.mark.parametrize("number", [100, 12_000])
def test_what_still_waits_when_it_ends_is_counted(tmp_path: Path, number: int) -> None:
    stuck = tmp_path / "camera.jsonl"
    os.mkfifo(stuck)  # it takes 64 KiB: fewer than a hundred of these lines
    reader = os.open(stuck, os.O_RDONLY | os.O_NONBLOCK)
    log = HostLog(stuck, lambda: 7, lambda _: None)
    for _ in range(number):
        log.write("x" * 1000)
    log.close()
    lost = log.lost
    kept = os.read(reader, 65536).count(b"\n")
    assert lost == number - kept
    log.close()
    assert log.lost == lost
    os.close(reader)
