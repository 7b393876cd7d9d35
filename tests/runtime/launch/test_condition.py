"""Small conditions."""

from __future__ import annotations

import pytest
from pydantic import JsonValue

from olympus.runtime.errors import LaunchError
from olympus.runtime.launch.condition import holds

ARGUMENTS: dict[str, JsonValue] = {
    "record": True,
    "speed": 0.4,
    "camera.source": "sim://front",
    "mode": "day",
}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("record", True),
        ("${record}", True),
        ("not ${record}", False),
        ("record and speed > 0.2", True),
        ("speed >= 0.5 or mode == 'night'", False),
        ("0.1 < speed < 0.5", True),
        ("'sim:' in camera.source", True),
        ("mode in ['day', 'dusk']", True),
        ("mode != 'day'", False),
        ("true and not false", True),
    ],
)
def test_a_condition_over_arguments(text: str, value: bool) -> None:
    assert holds(text, ARGUMENTS, "robot.yaml:3") is value


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("recrd", "names 'recrd'; did you mean 'record'"),
        ("record and", "robot.yaml:3: 'record and' is no condition"),
        ("__import__('os').system('x')", "is no condition"),
        ("speed < 'fast'", "is no condition"),
        ("record is True", "is no condition"),
        ("(lambda: 1)()", "is no condition"),
    ],
)
def test_anything_else_is_refused(text: str, told: str) -> None:
    with pytest.raises(LaunchError, match=told.replace("(", r"\(").replace(")", r"\)")):
        holds(text, ARGUMENTS, "robot.yaml:3")
