"""The event log never makes the guardian wait."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

from olympus.runtime.safety.events import FILE, EventLog


def test_events_are_lines_of_json_in_order(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    for number in range(5):
        log.add({"event": "trip", "number": number})
    log.close()
    lines = (tmp_path / FILE).read_text().splitlines()
    assert [json.loads(line)["number"] for line in lines] == list(range(5))


def test_a_disk_that_hangs_costs_events_but_no_time(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / FILE)  # opening it blocks until somebody reads
    log, added = EventLog(tmp_path, room=1), 0
    while added - log.lost < 2:  # one in the writer's hands, one waiting: now it is full
        log.add({"number": added})
        added += 1
    log.add({"number": "too many"})
    before = log.lost
    log.close(timeout_s=0.01)
    assert log.lost == before + 1
    reader = os.open(tmp_path / FILE, os.O_RDONLY)
    while os.read(reader, 4096):
        pass
    os.close(reader)


def test_a_disk_that_refuses_is_counted(tmp_path: Path, until_true: Callable[..., None]) -> None:
    (tmp_path / FILE).mkdir()
    log = EventLog(tmp_path)
    log.add({"event": "trip"})
    until_true(lambda: log.lost == 1)
    log.close()
