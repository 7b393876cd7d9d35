"""Backstops in a launch file: they reach the guardian; a wrong one is told before it runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from olympus.runtime.errors import ConfigError, LaunchError
from olympus.runtime.launch.build import make_plan
from olympus.runtime.launch.recipes import guardian_settings
from olympus.runtime.launch.run import check_launch
from olympus.runtime.safety.backstop import Spec

Write = Callable[..., Path]

FILE = """\
arguments:
  port: /dev/ttyACM0
safety:
  gates: {drive: 0.3}
  backstops:
    - {uses: bulb, port: "${port}", log: "${session.run_dir}/bulb"}
    - {uses: bulb, name: second, port: x}
"""

BULB = """\
from dataclasses import dataclass
from olympus.runtime.safety.backstop import Report, read_options

@dataclass(frozen=True)
class Bulb:
    port: str
    log: str = ""
    def feed(self, outlook):
        return Report()
    def close(self, *, is_neutral):
        pass

def backstop(options):
    return read_options(Bulb, options)
"""


@pytest.fixture
def file(write: Write) -> Path:
    write(BULB, "bulb.py")
    return write(FILE)


def test_entries_reach_the_guardian_with_all_values_put_in(file: Path) -> None:
    plan = make_plan(file, ["port:=/dev/ttyS1"])
    settings = guardian_settings(plan, Path("/run/x"), {"session.run_dir": "/run/r"})
    assert settings.backstops == (
        Spec("bulb", "bulb", {"port": "/dev/ttyS1", "log": "/run/r/bulb"}),
        Spec("second", "bulb", {"port": "x"}),
    )
    assert settings.beside == file.parent


def test_a_check_loads_them_as_the_guardian_would(file: Path) -> None:
    assert check_launch(file, imports=False).problems == ()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("name: second, port", "name: second, prt", "safety.backstops: second: there is no option"),
        ("uses: bulb, name", "uses: blub, name", "uses: blub: there is no such module"),
    ],
)
def test_a_check_tells_what_the_guardian_would_refuse(
    file: Path, old: str, new: str, words: str
) -> None:
    file.write_text(FILE.replace(old, new))
    (problem,) = check_launch(file, imports=False).problems
    assert words in problem


def test_two_of_one_name_are_refused(file: Path) -> None:
    file.write_text(FILE.replace(", name: second", ""))
    with pytest.raises(ConfigError, match="two are called 'bulb'"):
        check_launch(file, imports=False)


def test_an_entry_without_a_module_is_told_with_its_line(file: Path) -> None:
    file.write_text(FILE.replace("uses: bulb, name", "name"))
    with pytest.raises(LaunchError, match=r"robot\.yaml:7: safety.backstops\[1\].*uses"):
        make_plan(file)


def test_backstops_without_anything_watched_are_refused(file: Path) -> None:
    file.write_text(FILE.replace("  gates: {drive: 0.3}\n", ""))
    with pytest.raises(LaunchError, match="no guardian would run to feed them"):
        make_plan(file)
