"""The event log never makes the guardian wait."""

from __future__ import annotations

import json
import os
import subprocess
import sys
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


FULL = """
import resource, signal, sys
from pathlib import Path
from olympus.runtime.safety.events import EventLog

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as on a full disk: an error and no signal
log = EventLog(Path(sys.argv[1]))
log.add({"number": 0})
log.add({"number": 1, "text": "x" * 100})
while log.lost < 1:
    pass
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.add({"number": 2})
log.close()
print(log.lost)
"""


def test_half_a_line_that_a_full_disk_left_spoils_no_other(tmp_path: Path) -> None:
    limited = f"ulimit -S -f 1; exec {sys.executable} -c '{FULL}' {tmp_path}"
    (tmp_path / FILE).write_bytes(b"y" * (1024 - 50) + b"\n")  # bash counts in units of 1024
    told = subprocess.run(["bash", "-c", limited], capture_output=True, text=True, check=True)
    lines = (tmp_path / FILE).read_text().splitlines()[1:]
    assert told.stdout == "1\n"
    assert len(lines) == 3
    assert json.loads(lines[0]) == {"number": 0}
    assert lines[1].startswith('{"number": 1') and not lines[1].endswith("}")
    assert json.loads(lines[2]) == {"number": 2}


def test_half_a_line_that_a_killed_guardian_left_spoils_no_other(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b'{"number": 0}\n{"numb')
    log = EventLog(tmp_path)
    log.add({"number": 2})
    log.close()
    assert (tmp_path / FILE).read_bytes() == b'{"number": 0}\n{"numb\n{"number": 2}\n'
