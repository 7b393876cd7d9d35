"""The command line as a whole: help, version, errors, plug-ins."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.core import TyperGroup
from typer.testing import CliRunner

import olympus as package
from olympus.runtime.cli.app import COMMANDS, SAFETY, make
from olympus.runtime.cli.helping import EXAMPLES
from olympus.runtime.cli.main import SAFETY as INTERCEPTED

Olympus = Callable[..., subprocess.CompletedProcess[str]]


def help_of(*words: str) -> str:
    return CliRunner().invoke(make(list(words)), [*words, "--help"], prog_name="olympus").output


def test_help_lists_every_command() -> None:
    text = help_of()
    for name in (*COMMANDS, *SAFETY, "doctor"):
        assert f" {name} " in text


def test_every_command_has_help_without_programmers_sections() -> None:
    for words, command in leaves(typer.main.get_command(make([]))):
        text = help_of(*words)
        assert "Usage: olympus" in text
        assert command.help
        assert not {"Raises:", "Args:", "Returns:"}.intersection(text.split())
        assert not re.search(r"\S\n\S", command.help), "where a line ends, the terminal decides"


def test_main_carries_out_the_safety_commands_that_help_lists() -> None:
    assert set(INTERCEPTED) == set(SAFETY)


def test_one_command_doesn_t_load_the_others() -> None:
    names = [group.name for group in make(["topic", "list"]).registered_groups]
    assert names == ["topic"]


@pytest.mark.parametrize("command", ["topic", "node", "param", "say", "trace"])
def test_looking_on_does_not_load_what_reads_launch_files(command: str) -> None:
    code = (
        "import sys; from olympus.runtime.cli.app import make; "
        f"make(['{command}']); print('olympus.runtime.launch.schema' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


def test_a_plug_in_command_is_found() -> None:
    assert [one.name for one in make(["doctor"]).registered_commands] == ["doctor"]


def test_the_version_is_the_package_s(bare: Olympus) -> None:
    assert bare("--version").stdout == f"olympus {package.__version__}\n"


def test_a_mistyped_command_gets_the_right_one_suggested(bare: Olympus) -> None:
    result = bare("tpic")
    assert result.returncode == 2
    assert "'topic'" in result.stderr


@pytest.mark.parametrize("command", [("topic", "list"), ("status",), ("stop",)])
def test_without_a_session_a_command_says_how_to_start_one(command: tuple[str, ...]) -> None:
    with tempfile.TemporaryDirectory() as empty:
        result = subprocess.run(
            [str(Path(typer.__file__).parents[4] / "bin" / "olympus"), *command],
            env={"XDG_RUNTIME_DIR": empty, "TMPDIR": empty, "PATH": "/usr/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert result.returncode == 2
    assert "start one with" in result.stderr


def leaves(command: object, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command that does something, with its words."""
    if not isinstance(command, TyperGroup):
        yield words, command
        return
    for name, inner in command.commands.items():
        yield from leaves(inner, (*words, name))


def test_every_command_has_an_example_that_it_would_take() -> None:
    commands = {" ".join(words): one for words, one in leaves(typer.main.get_command(make([])))}
    others = {name for name in commands if name.split()[0] in (*SAFETY, "faults")}
    assert set(EXAMPLES) == commands.keys() - others
    for words, examples in EXAMPLES.items():
        command = commands[words]
        for example in examples:
            command.make_context(words, shlex.split(example))  # a wrong option or word is refused
            assert f"olympus {words} {example}".strip() in command.epilog


@pytest.mark.e2e
def test_a_full_disk_under_the_output_is_one_clear_line() -> None:
    olympus = str(Path(sys.executable).parent / "olympus")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [olympus, "models", "list"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "olympus: there is no room left on the disk for what is written; free some, then try again"
    ]


def test_garbage_is_looked_for_when_a_command_begins_and_not_while_it_loads() -> None:
    code = (
        "import gc, sys, types; told = types.ModuleType('told'); sys.modules['told'] = told\n"
        "told.__getattr__ = lambda name: seen.append(gc.isenabled()) or command\n"
        "seen = []\n"
        "def command(): seen.extend([gc.isenabled(), gc.get_freeze_count() > 10_000])\n"
        "from olympus.runtime.cli import app, main\n"
        "app.COMMANDS['told'] = 'told:command'; sys.argv = ['olympus', 'told']\n"
        "try: main()\n"
        "finally: print(seen)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[False, True, True]\n", done.stderr
