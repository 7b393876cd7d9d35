"""The golden missions are as they are kept, and their recordings replay."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from golden_command import KEPT, SHUFFLED, differences, flown
from golden_missions import MISSIONS, fly
from olympus.runtime.replay.engine import Engine
from olympus.runtime.replay.recording import Recording


@pytest.mark.timeout(300)
def test_every_mission_is_as_it_is_kept_with_any_hash_seed_and_thread_timing() -> None:
    assert flown(list(MISSIONS), SHUFFLED[1:]) == [], "if this was meant: ./run golden accept"


@pytest.mark.timeout(120)
def test_a_recorded_mission_replays(tmp_path: Path) -> None:
    flight = fly(MISSIONS["camera_freezes"], tmp_path / "record")
    with Recording(tmp_path / "record") as recording:
        outcome = Engine(recording).run()
    assert outcome.differences == []
    assert outcome.is_equal
    replayed = {topic: tally.digest for topic, tally in outcome.tallies.items()}
    assert replayed == {topic: flight.hashes[topic] for topic in replayed}
    assert {"rover/detections", "rover/percepts", "rover/cmd_vel"} <= replayed.keys()


def test_a_difference_names_mission_topic_and_line() -> None:
    known = json.loads(KEPT.read_text())
    name = "low_battery"
    flight = {
        "story": [*known["stories"][name][:-1], "something else"],
        "errors": 1,
        "hashes": {},
        "counts": {},
        "dispatch": "",
    }
    found = list(differences(known, {name: flight}))
    assert any("handlers failed" in line for line in found)
    assert any("something else" in line for line in found)
