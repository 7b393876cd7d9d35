"""`olympus topic` shows what really flows between processes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

Olympus = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.e2e


def test_topics_are_listed_with_type_and_ends(olympus: Olympus) -> None:
    result = olympus("topic", "list", "--json")
    assert result.returncode == 0, result.stderr
    rows = {row["topic"]: row for row in json.loads(result.stdout)}
    assert rows["rover/count"] == {
        "topic": "rover/count",
        "type": "olympus/Reading",
        "publishers": ["rover/counter"],
        "subscribers": [],
    }
    assert rows["rover/command"]["subscribers"] == ["rover/mission"]
    assert not any(topic.startswith("@") for topic in rows)


def test_internal_topics_are_shown_on_demand(olympus: Olympus) -> None:
    assert "@olympus/stats/bench" in olympus("topic", "list", "--all").stdout


def test_echo_prints_whole_messages_and_ends_after_n(olympus: Olympus) -> None:
    result = olympus("topic", "echo", "rover/count", "-n", "3", "--json")
    assert result.returncode == 0, result.stderr
    messages = [json.loads(line) for line in result.stdout.splitlines()]
    values = [message["value"] for message in messages]
    assert len(values) == 3
    assert values == sorted(values)
    assert messages[0]["type"] == "olympus/Reading"
    assert messages[0]["header"]["source"] == "rover/counter"


def test_echo_for_people_is_yaml_with_the_header_last(olympus: Olympus) -> None:
    text = olympus("topic", "echo", "**/count", "-n", "1").stdout
    assert text.startswith("name: count\n")
    assert text.index("value:") < text.index("header:")
    assert text.endswith("---\n")


def test_a_type_of_the_session_s_own_nodes_is_understood(olympus: Olympus) -> None:
    result = olympus("topic", "echo", "rover/oddity", "-n", "1", "--json")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["type"] == "cli/Oddity"


def test_hz_measures_the_timer(olympus: Olympus) -> None:
    report = json.loads(olympus("topic", "hz", "rover/count", "-n", "1", "--json").stdout)
    assert report["rate_hz"] == pytest.approx(20.0, rel=0.25)
    assert 0 <= report["gap_min_ms"] <= report["gap_mean_ms"] <= report["gap_max_ms"]
    assert report["window"] == report["delivered"] > 10
    assert (report["late"], report["malformed"], report["dropped"]) == (0, 0, {})


def test_hz_tells_what_the_ends_of_a_topic_count(olympus: Olympus) -> None:
    reports = olympus("topic", "hz", "rover/count", "-n", "2", "--json").stdout.splitlines()
    (end,) = json.loads(reports[-1])["ends"]
    assert end["node"] == "rover/counter"
    assert end["role"] == "pub"
    assert end["sent"] > 20
    assert end["dropped"] == {}
    text = olympus("topic", "hz", "rover/count", "-n", "1", "--ends").stdout
    assert "delivered, 0 late, 0 malformed, dropped: none" in text
    assert "  rover/counter (pub): " in text


def test_a_window_keeps_the_newest_messages_only(olympus: Olympus) -> None:
    arguments = ("topic", "delay", "rover/count", "-n", "2", "-w", "5", "--json")
    report = json.loads(olympus(*arguments).stdout.splitlines()[-1])
    assert report["window"] == 5
    assert report["delivered"] > 25


def test_history_without_a_recorder_says_what_is_missing(olympus: Olympus) -> None:
    result = olympus("topic", "history", "rover/count")
    assert result.returncode == 4
    assert "nobody here records; add a node that uses olympus.nodes.recorder" in result.stderr


def test_bw_counts_bytes(olympus: Olympus) -> None:
    report = json.loads(olympus("topic", "bw", "rover/count", "-n", "1", "--json").stdout)
    assert report["bytes_per_s"] > 20 * 30
    assert report["bytes_min"] <= report["bytes_mean"] <= report["bytes_max"]


def test_delay_is_small_on_one_machine(olympus: Olympus) -> None:
    report = json.loads(olympus("topic", "delay", "rover/count", "-n", "1", "--json").stdout)
    assert 0 < report["age_p50_ms"] <= report["age_p99_ms"] <= report["age_max_ms"] < 5000


@pytest.mark.parametrize("command", ["echo", "hz", "bw", "delay"])
def test_a_mistyped_topic_gets_the_right_one_suggested(olympus: Olympus, command: str) -> None:
    result = olympus("topic", command, "rover/cuont", "--timeout", "0.3")
    assert result.returncode == 4
    before, after = result.stderr.splitlines()
    assert "nobody publishes it; did you mean 'rover/count'?" in before
    assert before.endswith("; waiting 0.3 s for it")
    assert after == "olympus: rover/cuont: nothing came in 0.3 s; nobody publishes it"


def test_a_topic_with_readers_only_is_not_suggested(olympus: Olympus) -> None:
    result = olympus("topic", "echo", "rover/command", "--timeout", "0.3")
    assert result.returncode == 4
    assert "rover/command" not in result.stderr.replace("rover/command: no", "")


def test_an_impossible_topic_is_shown_with_a_caret(olympus: Olympus) -> None:
    result = olympus("topic", "echo", "rover//count")
    assert result.returncode == 2
    assert "^" in result.stderr
