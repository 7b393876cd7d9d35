"""`olympus node`, `param`, `top` and `say` speak to real nodes in another process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

Olympus = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.e2e


def test_nodes_are_listed_with_their_state(olympus: Olympus) -> None:
    rows = {row["node"]: row for row in json.loads(olympus("node", "list", "--json").stdout)}
    assert rows["rover/counter"] == {
        "node": "rover/counter",
        "state": "active",
        "host": "bench",
        "uses": "cli_nodes:Counter",
    }
    assert "rover/mission" in rows


def test_a_node_tells_what_it_takes_gives_and_answers(olympus: Olympus) -> None:
    found = json.loads(olympus("node", "info", "rover/mission", "--json").stdout)
    assert found["publishes"] == {"rover/mission": "olympus/MissionState"}
    assert found["takes"] == {"rover/command": "olympus/Command"}
    assert "rover/mission/param/set" in found["answers"]


def test_an_unknown_node_is_an_error_with_a_suggestion(olympus: Olympus) -> None:
    result = olympus("node", "info", "rover/conter")
    assert result.returncode == 4
    assert "did you mean 'rover/counter'?" in result.stderr


def test_params_are_listed_with_range_and_description(olympus: Olympus) -> None:
    line = olympus("param", "list", "rover/counter").stdout.strip()
    assert line == "step = 1   # ≥ 1; ≤ 10; How far each count goes."


def test_a_param_is_set_and_read_back(olympus: Olympus) -> None:
    assert (
        olympus("param", "set", "rover/counter", "step", "3").stdout == "rover/counter.step = 3\n"
    )
    assert olympus("param", "get", "rover/counter", "step").stdout == "3\n"
    assert olympus("param", "set", "rover/counter", "step", "1").returncode == 0


def test_a_bad_value_is_refused_and_names_the_field(olympus: Olympus) -> None:
    for value in ("-1", "11", "fast"):
        result = olympus("param", "set", "rover/counter", "step", value)
        assert result.returncode == 2
        assert "rover/counter.step" in result.stderr
    assert olympus("param", "get", "rover/counter", "step").stdout == "1\n"


def test_a_list_with_a_missing_bracket_is_shown_with_a_caret(olympus: Olympus) -> None:
    result = olympus("param", "set", "rover/counter", "step", "[[1, 2]")
    assert result.returncode == 2
    assert result.stderr.splitlines()[1:] == ["  [[1, 2]", "         ^"]


def test_an_unknown_param_is_refused(olympus: Olympus) -> None:
    result = olympus("param", "get", "rover/counter", "steps")
    assert result.returncode == 2
    assert "did you mean 'step'?" in result.stderr


def test_top_shows_hosts_and_topics(olympus: Olympus) -> None:
    text = olympus("top", "--once").stdout
    assert "bench" in text
    assert "rover/count" in text


def test_top_for_scripts_is_json(olympus: Olympus) -> None:
    (host,) = json.loads(olympus("top", "--json").stdout)
    assert host["host"] == "bench"
    assert host["rss_mb"] > 10
    assert {node["name"] for node in host["nodes"]} == {"rover/counter", "rover/mission"}


def test_a_sentence_reaches_the_node_that_takes_commands(olympus: Olympus) -> None:
    result = olympus("say", "patrol the corridor")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "patrolling the corridor\n"


def test_what_is_not_understood_is_an_error(olympus: Olympus) -> None:
    result = olympus("say", "fly", "home")
    assert result.returncode == 2
    assert "'fly home' is not understood; say for example: patrol" in result.stderr


def test_an_answer_for_scripts_is_json(olympus: Olympus) -> None:
    answer = json.loads(olympus("say", "--json", "--to", "rover/mission", "fly").stdout)
    assert not answer["ok"]
    assert answer["text"].startswith("'fly' is not understood")


def test_a_node_that_takes_no_commands_is_refused(olympus: Olympus) -> None:
    result = olympus("say", "--to", "rover/misson", "fly")
    assert result.returncode == 4
    assert "did you mean 'rover/mission'?" in result.stderr
