"""What the person sees."""

from __future__ import annotations

import io
import json
import os
import threading

import pytest

from olympus.runtime.launch.hostlog import LogLine
from olympus.runtime.launch.report import JsonReport, Report, wrapped

LINE = LogLine("sensors", "warning", "rover/camera", "no picture", {"device": "/dev/video0"})


def test_a_line_per_process_and_condensed_logs() -> None:
    stream = io.StringIO()
    report = Report(stream)
    report.process("camera", "active", 0.8, "rover/camera")
    report.log(LINE)
    report.say("it is [bold]hot[/bold]", "error")
    assert stream.getvalue().splitlines() == [
        "camera           active         0.8 s  rover/camera",
        "[rover/camera] warning: no picture  device=/dev/video0",
        "error: it is [bold]hot[/bold]",
    ]


def test_scripts_get_one_object_a_line() -> None:
    stream = io.StringIO()
    report = JsonReport(stream)
    report.process("camera", "active", 0.8)
    report.log(LINE)
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first == {
        "event": "process",
        "name": "camera",
        "state": "active",
        "seconds": 0.8,
        "detail": "",
    }
    assert (second["host"], second["fields"]) == ("sensors", {"device": "/dev/video0"})
    assert not report.is_terminal


def test_a_reader_that_goes_away_is_no_error() -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    for kind in (Report, JsonReport):
        with os.fdopen(os.dup(theirs), "w", buffering=1) as stream:
            report = kind(stream)
            report.say("is anybody there?")
            report.say("no")
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    os.close(theirs)


def test_on_a_terminal_a_long_line_breaks_between_words_and_is_indented() -> None:
    text = "[rover/navigator] warning: no room between the wall and the person\n  keep  this"
    assert wrapped(text, 40).splitlines() == [
        "[rover/navigator] warning: no room",
        "  between the wall and the person",
        "  keep  this",
    ]


def test_a_path_is_never_broken() -> None:
    path = "/run/user/1000/olympus/patrol/logs/a-very-long-name-of-a-host.jsonl"
    assert path in wrapped(f"logs in {path}", 40).splitlines()[-1]


def test_what_a_node_logs_does_not_steer_the_terminal() -> None:
    stream = io.StringIO()
    Report(stream).log(LogLine("iot", "warning", "iot", "\x1b]0;fine\x07\r\x9bé 😀", {}))
    assert stream.getvalue() == "[iot] warning: \\x1b]0;fine\\x07\\x0d\\x9bé 😀\n"


class Stuck(io.StringIO):
    """A terminal that takes a first line, and then nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.is_free = threading.Event()

    def write(self, text: str, /) -> int:
        if self.getvalue():
            self.is_free.wait(30)
        return super().write(text)


@pytest.mark.parametrize("kind", [Report, JsonReport])
def test_a_terminal_that_takes_nothing_holds_up_nobody_and_gets_everything_later(
    kind: type[Report],
) -> None:
    stream = Stuck()
    report = kind(stream)
    with report.aside():
        for number in range(2000):
            report.say(f"line {number}")
        assert stream.getvalue().count("\n") <= 1
        assert 990 <= report.unshown <= 1000
        stream.is_free.set()
    shown = stream.getvalue().splitlines()
    assert [f"line {number}" in shown[number] for number in range(1000)] == [True] * 1000
    assert f"{report.unshown} lines were not shown" in shown[-1]
    report.say("afterwards")
    assert "afterwards" in stream.getvalue()
