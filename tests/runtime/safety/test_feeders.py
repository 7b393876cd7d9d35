"""Backstops are fed in threads of their own; one that hangs or raises never holds the loop."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from olympus.runtime.safety import spawn
from olympus.runtime.safety.acks import AckWriter, Flag, Reason
from olympus.runtime.safety.backstop import Outlook, Report, Spec
from olympus.runtime.safety.client import SafetyClient
from olympus.runtime.safety.feeders import Feeders
from olympus.runtime.safety.guardian import CHECK
from olympus.runtime.safety.keeper import Keeper
from olympus.runtime.safety.settings import Settings
from olympus.runtime.safety.state import Mode

STILL = Outlook(now_ns=1, epoch=0, is_permitted=False, answered_ns=None, is_neutral=True)


class Lamp:
    """A backstop that does what the test says."""

    def __init__(self) -> None:
        self.seen: list[Outlook] = []
        self.closed: list[bool] = []
        self.trouble: Exception | None = None
        self.report = Report(text="lit")
        self.free = threading.Event()
        self.free.set()

    def feed(self, outlook: Outlook) -> Report:
        self.free.wait(10)
        if self.trouble is not None:
            raise self.trouble
        self.seen.append(outlook)
        return self.report

    def close(self, *, is_neutral: bool) -> None:
        self.free.wait(10)
        self.closed.append(is_neutral)
        if self.trouble is not None:
            raise self.trouble


@pytest.fixture
def lamp() -> Lamp:
    return Lamp()


@pytest.fixture
def feeders(lamp: Lamp) -> Iterator[Feeders]:
    feeders = Feeders({"lamp": lamp}, priority=20)
    yield feeders
    lamp.free.set()
    feeders.close(is_neutral=False)


def test_a_backstop_not_yet_fed_stands_against_motion(
    feeders: Feeders, lamp: Lamp, until_true: Callable[..., None]
) -> None:
    assert list(feeders.problems()) == ["backstop lamp: was not fed yet"]
    feeders.feed(STILL)
    until_true(lambda: not list(feeders.problems()))
    (told,) = feeders.told()
    assert (told["name"], told["text"], told["problem"]) == ("lamp", "lit", "")
    assert lamp.seen == [STILL]


def test_an_exception_stands_against_motion_until_a_later_feed_succeeds(
    feeders: Feeders, lamp: Lamp, until_true: Callable[..., None]
) -> None:
    lamp.trouble = OSError("unplugged")
    feeders.feed(STILL)
    until_true(lambda: list(feeders.problems()) == ["backstop lamp: OSError: unplugged"])
    lamp.trouble = None
    feeders.feed(STILL)
    until_true(lambda: not list(feeders.problems()))


def test_a_hanging_backstop_is_noticed_and_holds_nobody(
    feeders: Feeders, lamp: Lamp, until_true: Callable[..., None]
) -> None:
    lamp.free.clear()
    began = time.monotonic()
    for _ in range(1000):
        feeders.feed(STILL)
    assert time.monotonic() - began < 5.0  # each feed that waited would have taken 10 s
    until_true(lambda: "feeding it takes" in next(feeders.problems()))
    (told,) = feeders.told()
    facts = told["facts"]
    assert isinstance(facts, dict)
    assert facts["missed"] == 999
    lamp.free.set()
    until_true(lambda: not list(feeders.problems()))
    assert len(lamp.seen) == 1


def test_all_are_closed_and_told_whether_actuators_are_neutral(lamp: Lamp) -> None:
    Feeders({"lamp": lamp}).close(is_neutral=True)
    assert lamp.closed == [True]


def test_closing_waits_for_no_backstop_that_hangs(
    lamp: Lamp, capfd: pytest.CaptureFixture[str]
) -> None:
    lamp.free.clear()
    feeders = Feeders({"lamp": lamp})
    feeders.close(is_neutral=True)
    assert "backstop lamp did not close in time" in capfd.readouterr().err
    lamp.free.set()


def test_an_exception_at_the_end_is_told_when_nobody_asks_any_more(
    lamp: Lamp, capfd: pytest.CaptureFixture[str]
) -> None:
    lamp.trouble = OSError("gone")
    feeders = Feeders({"lamp": lamp})
    feeders.close(is_neutral=True)
    assert feeders.told()[0]["problem"] == "OSError: gone"
    assert capfd.readouterr().err == "guardian: backstop lamp did not close well: OSError: gone\n"


def test_the_outlook_says_what_the_gates_last_did(tmp_path: Path) -> None:
    keeper = Keeper(Settings(dir=tmp_path, gates={"drive": 0.3}))
    assert keeper.outlook(5).answered_ns == 0
    assert not keeper.outlook(10**9).is_answered(300_000_000)
    gate = AckWriter(tmp_path, "drive")
    now_ns = time.monotonic_ns()
    gate.write(now_ns, epoch=0, burned=0, reason=Reason.OK, flags=Flag(0))
    outlook = keeper.outlook(now_ns + 7)
    assert outlook == Outlook(now_ns + 7, keeper.state.epoch, False, now_ns, is_neutral=False)
    gate.write(now_ns, epoch=0, burned=0, reason=Reason.CLOSED, flags=Flag.NEUTRAL | Flag.CLOSED)
    assert keeper.outlook(now_ns).answered_ns == 0
    assert keeper.outlook(now_ns).is_neutral
    gate.close()
    keeper.close()


MODULE = """
import sys
from pathlib import Path
from olympus.runtime.safety.backstop import Report

class Lamp:
    def __init__(self, folder):
        self.folder = folder
    def feed(self, outlook):
        if (self.folder / "broken").exists():
            raise OSError("the bulb is broken")
        return Report(text="on" if outlook.is_permitted else "off")
    def close(self, *, is_neutral):
        (self.folder / "closed").write_text(str(is_neutral))

def backstop(options):
    return Lamp(Path(options["folder"]))
"""


@pytest.fixture
def lamp_settings(safety_dir: Path, tmp_path: Path) -> Settings:
    (tmp_path / "lamp_in_guardian.py").write_text(MODULE)
    spec = Spec("lamp", "lamp_in_guardian", {"folder": str(tmp_path)})
    # A busy machine stops nothing by itself.
    return Settings(
        dir=safety_dir, watch={"drive": 2.0}, lease_ms=1000, backstops=(spec,), beside=tmp_path
    )


def test_a_real_guardian_trips_when_a_backstop_raises_and_closes_it_at_the_end(
    lamp_settings: Settings,
    tmp_path: Path,
    start_guardian: Callable[[Settings], spawn.Started],
    drive: Callable[[Path], object],
    until_true: Callable[..., None],
    permit_motion: Callable[[SafetyClient], None],
) -> None:
    started = start_guardian(lamp_settings)
    drive(lamp_settings.dir)
    client = SafetyClient(lamp_settings.dir)
    permit_motion(client)
    until_true(lambda: client.status().backstops[0].text == "on")
    (tmp_path / "broken").touch()
    until_true(lambda: client.status().state is Mode.TRIPPED)
    assert client.status().cause == "backstop lamp: OSError: the bulb is broken"
    # The gate needs a tick to hand on neutral; until then it stands against a reset too.
    until_true(lambda: client.status().blockers == ("backstop lamp: OSError: the bulb is broken",))
    (tmp_path / "broken").unlink()
    until_true(lambda: client.status().backstops[0].text == "off")
    started.process.terminate()
    assert started.process.wait(10) == 0
    assert (tmp_path / "closed").read_text() in ("True", "False")


def test_a_check_reads_everything_and_starts_nothing(
    lamp_settings: Settings, safety_dir: Path, tmp_path: Path
) -> None:
    config = tmp_path / "guardian.json"
    for options, code in (({"folder": str(tmp_path)}, 0), ({}, 1)):
        spec = Spec("lamp", "lamp_in_guardian", options)
        text = Settings(
            dir=safety_dir, watch={"a": 1.0}, backstops=(spec,), beside=tmp_path
        ).to_json()
        config.write_text(text)
        assert json.loads(text)["backstops"][0]["name"] == "lamp"
        command = spawn.command(config)
        command.insert(-1, CHECK)
        run = subprocess.run(command, env=spawn.environment(), capture_output=True, check=False)
        assert bool(run.returncode) == bool(code), run.stderr
    assert not safety_dir.exists()


@pytest.mark.parametrize(
    "wrong",
    [None, "lit", Report, Report(problem=None), Report(text=b"lit"), Report(facts=7)],  # type: ignore[arg-type]
)
def test_what_is_no_report_stands_against_motion_and_ends_nobody(
    feeders: Feeders, lamp: Lamp, until_true: Callable[..., None], wrong: Any
) -> None:
    lamp.report = wrong
    feeders.feed(STILL)
    until_true(lambda: any("Report" in one for one in feeders.problems()))
    assert feeders.told()[0]["text"] == ""


@pytest.mark.parametrize("facts", [{}, MappingProxyType({}), MappingProxyType({"a": {"b": [1]}})])
def test_facts_of_any_mapping_are_told_as_they_are(
    feeders: Feeders, lamp: Lamp, until_true: Callable[..., None], facts: Any
) -> None:
    lamp.report = Report(facts=facts)
    feeders.feed(STILL)
    until_true(lambda: not list(feeders.problems()))
    told = json.loads(json.dumps(feeders.told()))[0]["facts"]
    own = {"fed", "missed", "failures", "longest_ms"}
    assert {name: value for name, value in told.items() if name not in own} == dict(facts)


@pytest.mark.parametrize("facts", [{"a": b"bytes"}, {(1, 2): 3}, {"a": {1}}, {"a": "b"}])
def test_facts_can_always_be_told(
    feeders: Feeders, lamp: Lamp, until_true: Callable[..., None], facts: Any
) -> None:
    lamp.report = Report(facts=facts)
    feeders.feed(STILL)
    until_true(lambda: not list(feeders.problems()))
    told = json.loads(json.dumps(feeders.told()))[0]["facts"]
    assert told["fed"] == 1
    assert ("untold" in told) is (facts != {"a": "b"})
