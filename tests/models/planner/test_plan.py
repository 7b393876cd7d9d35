from __future__ import annotations

import pytest

from olympus.models.planner.plan import read_plan, read_short, short, spoken, to_json
from olympus.runtime.errors import ModelError


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("go lab", "go to the lab"),
        ("go home", "go home"),
        ("go @2,-1.5", "go to 2, -1.5"),
        ("patrol", "patrol"),
        ("patrol west wing x3", "patrol the west wing 3 rounds"),
        ("patrol lab until sees person", "patrol the lab until I see a person"),
        ("turn left 45 ; wait 10s", "turn left by 45 degrees, then wait 10 seconds"),
        ("wait 2m ; wait until hears siren", "wait 2 minutes, then wait until I hear a siren"),
        ("stop", "stop"),
        ("continue", "continue"),
    ],
)
def test_a_plan_reads_the_same_in_all_its_forms(text: str, words: str) -> None:
    plan = read_short(text)
    assert short(plan) == text
    assert read_plan(to_json(plan)) == plan
    assert spoken(plan) == words


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        '[{"do":"fly"}]',
        '[{"do":"go"}]',
        '[{"do":"go","place":"lab","x":1,"y":2}]',
        '[{"do":"go","x":1}]',
        '[{"do":"stop","place":"lab"}]',
        '[{"do":"wait","seconds":0}]',
        '[{"do":"wait","seconds":1,"minutes":1}]',
        '[{"do":"patrol","rounds":1.5}]',
        '[{"do":"patrol","until":{}}]',
        '[{"do":"patrol","until":{"sees":"a","hears":"b"}}]',
        '[{"do":"turn","direction":"up"}]',
        '[{"do":"go","place":"lab","hurry":true}]',
    ],
)
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="plan"):
        read_plan(text)
