"""What a host imported before its nodes is imported again, and opens nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from olympus.runtime.errors import ConfigError
from olympus.runtime.replay.hosts import prepare


def facts(folder: Path, plugin: str, source: str) -> dict[str, object]:
    (folder / f"{plugin}.py").write_text(source)
    return {"node_dir": str(folder), "plugins": [plugin]}


@pytest.mark.parametrize("ending", ["", "\nexcept BaseException: pass"], ids=["ends", "goes_on"])
def test_a_plugin_is_refused_a_device_while_it_is_imported(tmp_path: Path, ending: str) -> None:
    far, near = os.openpty()
    port = os.ttyname(near)
    name = f"replay_plugin_that_{'goes_on' if ending else 'ends'}"
    line = f"import os; os.open({port!r}, os.O_RDWR | os.O_NOCTTY)"
    source = f"try: {line}{ending}" if ending else line
    with pytest.raises(ConfigError, match=f"plugins: {name} reaches for {port} while it is imp"):
        prepare(facts(tmp_path, name, source))
    os.close(far)
    os.close(near)


def test_a_plugin_that_fails_is_told_with_its_place(tmp_path: Path) -> None:
    found = facts(tmp_path, "replay_plugin_that_fails", "1 / 0\n")
    with pytest.raises(ConfigError, match=r"ZeroDivisionError.*replay_plugin_that_fails.py:1"):
        prepare(found)


def test_a_plugin_that_only_defines_something_is_there_afterwards(tmp_path: Path) -> None:
    prepare(facts(tmp_path, "replay_plugin_that_defines", "WORD = 'yes'\n"))
    assert sys.modules["replay_plugin_that_defines"].WORD == "yes"
