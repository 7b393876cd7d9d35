from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olympus.runtime.clock import VirtualClock
from olympus.runtime.errors import ConfigError
from olympus.runtime.messages import Log, decode, encode
from olympus.runtime.telemetry import BusHandler, StructuredLog, log_to
from olympus.runtime.telemetry.logs import ROOT, JsonFormatter


@contextmanager
def attached(handler: logging.Handler) -> Iterator[None]:
    root = logging.getLogger(ROOT)
    was = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(was)
        handler.close()


def lines_after(file: Path, level: str = "info") -> list[dict[str, Any]]:
    handler = log_to(VirtualClock(7), file=file, level=level)
    with attached(handler):
        logging.getLogger(ROOT).setLevel(level.upper())
        log = StructuredLog("rover/camera")
        log.debug("asleep")
        log.info("device opened", source="/dev/video0", width=640)
        log.critical("gone")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_line_is_one_json_object_with_text_and_facts(tmp_path: Path) -> None:
    lines = lines_after(tmp_path / "log")
    assert lines[0] == {
        "stamp": 7,
        "level": "info",
        "logger": "rover/camera",
        "text": "device opened",
        "fields": {"source": "/dev/video0", "width": "640"},
    }
    assert [line["level"] for line in lines] == ["info", "critical"]


def test_what_is_no_unicode_is_spelled_out_in_the_file_and_on_the_bus(tmp_path: Path) -> None:
    sent: list[Log] = []
    handler = log_to(VirtualClock(7), file=tmp_path / "log")
    with attached(BusHandler(sent.append, VirtualClock(7))), attached(handler):
        StructuredLog("camera").error("no file a\udcff", source="b\udcfe")
    (line,) = [json.loads(text) for text in (tmp_path / "log").read_text().splitlines()]
    assert (line["text"], line["fields"]) == ("no file a\\udcff", {"source": "b\\udcfe"})
    back = decode(encode(sent[0]))
    assert isinstance(back, Log)
    assert back.text == "no file a\\udcff"


def test_a_lower_level_writes_more(tmp_path: Path) -> None:
    assert len(lines_after(tmp_path / "log", level="debug")) == 3


def test_a_traceback_is_a_fact_and_stays_on_the_line(tmp_path: Path) -> None:
    with attached(log_to(VirtualClock(), file=tmp_path / "log")):
        try:
            raise LostError("no frame")
        except LostError:
            StructuredLog("n").exception("camera failed")
    (line,) = (tmp_path / "log").read_text().splitlines()
    assert "LostError: no frame" in json.loads(line)["fields"]["traceback"]


class LostError(Exception):
    pass


def test_an_unknown_level_is_refused_with_a_remedy() -> None:
    with pytest.raises(ConfigError, match="use debug, info"):
        log_to(VirtualClock(), level="loud")


def test_a_file_that_cant_be_written_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="choose a folder"):
        log_to(VirtualClock(), file=tmp_path / "none" / "log")


def test_without_a_file_lines_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    with attached(log_to(VirtualClock())):
        StructuredLog("n").warning("hot")
    assert json.loads(capsys.readouterr().err)["text"] == "hot"


def test_the_bus_gets_log_messages_and_no_echo_of_its_own() -> None:
    sent: list[Log] = []

    def publish(log: Log) -> None:
        sent.append(log)
        StructuredLog("bus").error("could not send")

    with attached(BusHandler(publish, VirtualClock(9))):
        StructuredLog("rover/iot").error("broker lost", host="10.0.0.2")
    assert [(log.logger, log.level, log.text, log.fields) for log in sent] == [
        ("rover/iot", "error", "broker lost", {"host": "10.0.0.2"})
    ]
    assert sent[0].header.stamp == 9


@given(text=st.text(), key=st.text(), value=st.text())
def test_whatever_is_said_stays_one_line(text: str, key: str, value: str) -> None:
    record = logging.LogRecord("olympus.n", logging.INFO, "", 0, "%s", (text,), None)
    record.olympus_fields = {key: value}
    line = JsonFormatter(VirtualClock()).format(record)
    assert "\n" not in line
    assert json.loads(line)["text"] == text
    assert json.loads(line)["fields"] == {key: value}
