"""A guardian's configuration is checked field by field."""

from __future__ import annotations

from pathlib import Path

import pytest

from olympus.runtime.errors import ConfigError
from olympus.runtime.safety.settings import Settings, load, parse

GOOD: dict[str, object] = {"dir": "/run/x", "watch": {"drive": 0.3}}


def test_settings_come_back_from_json(tmp_path: Path) -> None:
    settings = Settings(
        dir=tmp_path,
        watch={"drive": 0.3},
        gates={"drive": 0.5},
        conditions=("battery",),
        sched_fifo=50,
        parent_pid=1,
        die_with_parent=True,
    )
    (tmp_path / "c.json").write_text(settings.to_json())
    assert load(tmp_path / "c.json") == settings


def test_defaults_are_what_the_design_says() -> None:
    settings = parse(GOOD)
    assert (settings.lease_ms, settings.period_ms, settings.sched_fifo) == (60, 10, None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"wach": {}}, "did you mean 'watch'"),
        ({"dir": 7}, "must be of type str"),
        ({"watch": {}}, "nothing is watched"),
        ({"watch": []}, "must be of type dict"),
        ({"watch": {"a": "x"}}, "must be a number of seconds"),
        ({"watch": {"a": True}}, "must be a number of seconds"),
        ({"watch": {"a": 0}}, "above 0"),
        ({"watch": {"a": float("nan")}}, "above 0"),
        ({"watch": {"a": 10.1}}, "at most 10 s"),
        ({"watch": {"a" * 49: 1}}, "1 to 48 letters"),
        ({"watch": {str(n): 1 for n in range(33)}}, "at most 32"),
        ({"gates": {"": 1}}, "1 to 48 letters"),
        ({"conditions": [1]}, "list of names"),
        ({"conditions": ["a\0"]}, "1 to 48 letters"),
        ({"period_ms": 0}, "1..100"),
        ({"period_ms": 101}, "1..100"),
        ({"period_ms": True}, "type int"),
        ({"lease_ms": 19}, "20..1000"),
        ({"lease_ms": 1001}, "20..1000"),
        ({"sched_fifo": 0}, "1..99"),
        ({"sched_fifo": 100}, "1..99"),
        ({"lock_memory": 1}, "type bool"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(GOOD | change)
    assert words in str(raised.value)


@pytest.mark.parametrize("content", ["", "[]", "{}", "{", "[" * 100_000])
def test_a_file_that_is_no_configuration_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(ConfigError):
        load(tmp_path / "c.json")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"c\.json"):
        load(tmp_path / "c.json")
