"""The contract of a backstop: how its entry is read, loaded, and refused."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from olympus.runtime.errors import ConfigError
from olympus.runtime.safety.backstop import (
    Outlook,
    Spec,
    entries,
    load,
    read_options,
    specs,
)

GOOD = """
from olympus.runtime.errors import ConfigError
from olympus.runtime.safety.backstop import Report

class Lamp:
    def __init__(self, options):
        self.options = options
    def feed(self, outlook):
        return Report(text="lit")
    def close(self, *, is_neutral):
        pass

def backstop(options):
    if "colour" in options:
        raise ConfigError("there is no option 'colour'")
    return Lamp(options)
"""


@pytest.fixture
def beside(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "lamp_for_tests.py").write_text(GOOD)
    (tmp_path / "heavy_for_tests.py").write_text("import no_such_package_at_all\n")
    (tmp_path / "empty_for_tests.py").write_text("")
    sys.path.append(str(tmp_path))
    yield tmp_path
    sys.path.remove(str(tmp_path))
    for name in ("lamp_for_tests", "heavy_for_tests", "empty_for_tests"):
        sys.modules.pop(name, None)


def test_an_entry_has_a_module_a_name_and_options() -> None:
    found = specs([{"uses": "a.relay", "port": "/dev/x"}, {"uses": "a.relay", "name": "second"}])
    assert found == (Spec("relay", "a.relay", {"port": "/dev/x"}), Spec("second", "a.relay", {}))
    assert specs(entries(found)) == found


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("relay", "must be a list"),
        (["relay"], "must be a list"),
        ([{"port": 1}], "needs `uses`"),
        ([{"uses": 7}], "needs `uses`"),
        ([{"uses": "a.relay"}, {"uses": "b.relay"}], "two are called 'relay'; give one a `name`"),
    ],
)
def test_a_wrong_entry_is_named(wrong: object, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        specs(wrong)
    assert words in str(raised.value)


def test_a_module_beside_the_launch_file_is_loaded(beside: Path) -> None:
    lamp = load(Spec("lamp", "lamp_for_tests", {"watts": 3}))
    assert lamp.feed(Outlook(0, 0, False, None, True)).text == "lit"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (Spec("x", "no_such_module"), "x: uses: no_such_module: there is no such module"),
        (Spec("x", "heavy_for_tests"), "needs 'no_such_package_at_all'; the guardian has the"),
        (Spec("x", "empty_for_tests"), "has no function 'backstop'"),
        (Spec("x", "lamp_for_tests", {"colour": "red"}), "backstops: x: there is no option"),
    ],
)
def test_what_can_not_be_loaded_is_told(beside: Path, spec: Spec, words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load(spec)
    assert words in str(raised.value)


@dataclass(frozen=True, slots=True)
class Options:
    port: str
    limit_s: float = 0.1
    line: str | int | None = None
    count: int = 1
    is_loud: bool = False


def test_options_are_typed_and_a_whole_number_will_do_for_a_float() -> None:
    found: Mapping[str, object] = {"port": "/dev/x", "limit_s": 1, "line": 5, "is_loud": True}
    assert read_options(Options, found) == Options("/dev/x", 1.0, 5, 1, True)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({}, "the option 'port' is missing"),
        ({"prt": "x"}, "did you mean 'port'"),
        ({"port": 1}, "port=1 must be of type str"),
        ({"port": "x", "count": True}, "count=True must be of type int"),
        ({"port": "x", "count": 1.5}, "count=1.5 must be of type int"),
        ({"port": "x", "limit_s": True}, "limit_s=True must be of type float"),
        ({"port": "x", "is_loud": 1}, "is_loud=1 must be of type bool"),
        ({"port": "x", "line": 1.5}, "line=1.5 must be of type str or int or nothing"),
    ],
)
def test_a_wrong_option_is_named(found: Mapping[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_options(Options, found)
    assert words in str(raised.value)


def test_gates_have_answered_only_within_the_silence_allowed() -> None:
    outlook = Outlook(now_ns=1000, epoch=1, is_permitted=True, answered_ns=900, is_neutral=False)
    assert outlook.is_answered(100)
    assert not outlook.is_answered(99)
    assert not Outlook(1000, 1, True, None, True).is_answered(10**18)
