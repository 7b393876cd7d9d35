"""`olympus replay`: what it prints, at what pace, and its exit codes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from olympus.runtime.cli.projector import Projector
from olympus.runtime.cli.replay import nodes_are_heard, replay
from olympus.runtime.cli.replayed import verdict
from olympus.runtime.clock import NS_PER_S
from olympus.runtime.errors import ConfigError, StoreError
from olympus.runtime.messages import Header, Text
from olympus.runtime.replay.casting import Apart
from olympus.runtime.replay.difference import Tally
from olympus.runtime.replay.outcome import Outcome
from olympus.runtime.replay.recording import Recording
from olympus.runtime.store import Run, StreamStore
from olympus.runtime.telemetry.logs import StructuredLog


def text(seq: int) -> Text:
    return Text(text=f"no {seq}", header=Header(seq=seq, stamp=1))


def test_only_topics_that_are_asked_for_are_shown_and_only_from_the_time_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    projector = Projector(show=["rover/*"], from_s=1.0)
    projector.on_event(5 * NS_PER_S)
    for seq, (topic, at_s) in enumerate([("rover/a", 5.5), ("rover/a", 6.5), ("other", 7.0)]):
        projector.on_message(topic, text(seq), round(at_s * NS_PER_S))
    assert capsys.readouterr().out == '    1.500 s  rover/a no. 1  {"text": "no 1"}\n'


def test_a_speed_is_kept_from_where_it_begins_to_show() -> None:
    projector = Projector(speed=10.0, from_s=100.0)
    began = time.monotonic()
    for at_s in (1, 50, 101, 103):
        projector.on_event(at_s * NS_PER_S)
    took_s = time.monotonic() - began
    assert took_s >= 0.19


def test_a_recording_without_a_journal_says_how_to_make_one(tmp_path: Path) -> None:
    with StreamStore(tmp_path) as store:
        store.begin_run(Run(number=0, session="s", started=1, seen=1))
        store.append([("a", text(1))])
        store.end_run(2)
    with pytest.raises(StoreError, match="replay:=true"):
        Recording(tmp_path)
    with pytest.raises(StoreError, match="no run 7; runs it has: 1"):
        Recording(tmp_path, run=7)


@pytest.mark.parametrize(
    ("is_meant", "first"), [(True, "left out: led"), (False, "NOT COMPARED: led")]
)
def test_a_node_that_publishes_nothing_and_did_not_run_is_told_too(
    is_meant: bool, first: str
) -> None:
    outcome = Outcome({"odometry": Tally("odometry", equal=3)})
    outcome.apart["led"] = Apart("led", "it opens a device", is_meant=is_meant)
    lines = list(verdict(outcome, []))
    assert lines[0].startswith(first) and "it opens a device" in lines[0]
    assert outcome.is_equal is is_meant
    assert lines[-1].startswith("equal" if is_meant else "NOT ALL")


def test_a_pattern_that_fits_nothing_published_anew_is_told_with_the_topics() -> None:
    projector = Projector(show=["rover/*", "rover/mision"])
    (line,) = projector.unmatched(["rover/mission", "rover/percepts"])
    assert line.startswith("--show rover/mision: no node that ran again has such a topic; did you ")
    assert "did you mean 'rover/mission'?" in line


def test_what_a_node_that_runs_again_warns_of_bears_its_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log = StructuredLog("rover/navigator")
    with nodes_are_heard():
        log.info("on the way")
        for _ in range(7):
            log.warning("stopped: \x1b[2J the mission is cleared", mission="patrol")
        log.warning("blocked")
    log.warning("nobody hears this")
    first, *more, last = capsys.readouterr().err.splitlines()
    assert first.startswith("[rover/navigator] warning: stopped: ")
    assert first.endswith("the mission is cleared  mission=patrol") and "\x1b" not in first
    assert more == [f"{first}  (no. 2)", f"{first}  (no. 4)"]
    assert last == "[rover/navigator] warning: blocked"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"diff": Path("x"), "until_s": 3.0}, "--until does nothing with --diff"),
        ({"diff": Path("x"), "show": ["**"]}, "--show does nothing with --diff"),
        ({"diff": Path("x"), "loop": True}, "--loop does nothing with --diff"),
        ({"viewer": True, "inject": ["a"]}, "--inject does nothing with --viewer"),
        ({"viewer": True, "as_json": True}, "--json does nothing with --viewer"),
        ({"viewer": True, "verify": True}, "--viewer and --verify exclude each other"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused_before_anything_is_opened(
    wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        replay("no such recording", **wrong)
    with pytest.raises(StoreError, match="no store 'no such recording'"):
        replay("no such recording", until_s=3.0, show=["**"], inject=["a"], loop=True)
