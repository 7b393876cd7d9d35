"""`olympus service` lists what real nodes answer, and asks them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from olympus.runtime.node.spec import NodeSpec

Olympus = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.e2e
SAY, PARITY = "rover/mission/say", "rover/counter/parity"


def test_services_are_listed_without_those_that_every_node_has(olympus: Olympus) -> None:
    rows = json.loads(olympus("service", "list", "--json").stdout)
    assert rows == [
        {"service": PARITY, "type": "olympus/Reading", "node": "rover/counter"},
        {"service": SAY, "type": "olympus/Command", "node": "rover/mission"},
    ]
    assert "rover/mission/param/set" in olympus("service", "list", "--all").stdout


def test_a_service_is_asked_and_its_answer_printed(olympus: Olympus) -> None:
    words = "{text: patrol the corridor, verb: ''}"
    result = olympus("service", "call", SAY, words)
    assert (result.stdout, result.returncode) == ("ok: true\ntext: patrolling the corridor\n", 0)


def test_a_no_is_printed_and_has_an_exit_code_of_its_own(olympus: Olympus) -> None:
    result = olympus("service", "call", SAY, '{"text": "sing", "verb": ""}', "--json")
    assert json.loads(result.stdout)["text"] == "not understood: sing"
    assert result.returncode == 2


def test_an_answer_may_be_of_a_type_that_only_the_node_s_module_knows(olympus: Olympus) -> None:
    words = "{name: n, value: 3, unit: '1', valid: true, device: none}"
    assert olympus("service", "call", PARITY, words).stdout == "is_odd: true\n"


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("rover/mission/sya", "{}"), 4, "did you mean 'rover/mission/say'?"),
        ((SAY, "{tex: hello}"), 3, "olympus/Command has no field 'tex'; did you mean 'text'?"),
        ((SAY, "{verb: ''}"), 3, "olympus/Command needs text (str) too"),
        ((SAY, "{text: 3, verb: ''}"), 3, "olympus/Command.text: int where str is needed"),
        ((SAY, "hello"), 3, "is no mapping of fields; write '{text: hello}'"),
        ((SAY, "{text: [}"), 3, "the fields are no valid YAML"),
    ],
)
def test_a_question_that_can_t_be_asked_is_refused_with_the_way_out(
    olympus: Olympus, words: tuple[str, str], code: int, told: str
) -> None:
    result = olympus("service", "call", *words)
    assert told in result.stderr
    assert (result.returncode, result.stdout) == (code, "")
    assert "Traceback" not in result.stderr


def test_a_node_s_module_that_can_not_be_imported_here_is_told_with_file_and_line(
    olympus: Olympus, another_host: Callable[..., None]
) -> None:
    another_host("touchy", NodeSpec(name="touchy", uses="cli_touchy:Touchy", namespace="rover"))
    why = "importing cli_touchy fails: RuntimeError: no such place for me ("
    greeted = olympus("service", "call", "rover/touchy/greet", "{text: you}")
    assert greeted.stdout == "ok: true\ntext: hello you\n"
    assert why in greeted.stderr
    assert "cli_touchy.py:11); an answer of a type of its own can't be read" in greeted.stderr
    asked = olympus("service", "call", "rover/touchy/mood", "{text: how}")
    assert asked.returncode == 3
    assert why in asked.stderr
    assert "unknown message type 'cli/Mood'" in asked.stderr
    assert "Traceback" not in greeted.stderr + asked.stderr
