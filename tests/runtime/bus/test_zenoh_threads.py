"""What Python keeps of Zenoh's threads between two calls, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e
COUNTER = Path(__file__).with_name("_zenoh_threads.py")


def counted(how: str) -> tuple[int, int]:
    """Return how many threads called a handler 50 times, and how often one was new to Python."""
    command = [sys.executable, str(COUNTER), how]
    told = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    threads, new = told.stdout.split()
    return int(threads), int(new)


def test_a_thread_of_zenoh_is_new_to_python_at_each_call() -> None:
    _, new = counted("left")
    assert new >= 50, "if Zenoh keeps its threads' states itself, zenoh_threads can go"


def test_a_thread_that_is_kept_is_new_once() -> None:
    threads, new = counted("kept")
    assert new <= threads < 50
