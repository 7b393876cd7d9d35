"""Who plays scenes, see scenes.py: with what is built, and in Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from olympus.runtime.quick import PURE

Play = Callable[[dict[str, Any]], list[Any]]


@contextmanager
def player(environment: dict[str, str]) -> Iterator[Play]:
    """Yield what plays a scene in a process of its own: there, nothing else logs or hears."""
    child = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("scenes.py"))],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | environment,
    )  # fmt: skip
    assert child.stdin is not None and child.stdout is not None
    given, made = child.stdin, child.stdout

    def play(scene: dict[str, Any]) -> list[Any]:
        given.write(json.dumps(scene) + "\n")
        given.flush()
        told: list[Any] = json.loads(made.readline())
        return told

    yield play
    given.close()
    made.read()
    assert child.wait(20) == 0
    made.close()


@pytest.fixture(scope="module")
def outcome() -> Iterator[Play]:
    """Yield what plays a scene with what is built."""
    with player({}) as play:
        yield play


@pytest.fixture(scope="module")
def reference() -> Iterator[Play]:
    """Yield what plays a scene in Python."""
    with player({PURE: "1"}) as play:
        yield play
