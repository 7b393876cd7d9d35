"""Whatever a process writes, its log takes it."""

import json
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
