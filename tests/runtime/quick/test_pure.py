"""What other tests see in C, where it is built, is tested in Python too: it is the reference."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from olympus.runtime.quick import PURE, quick, why_not

ROOT = Path(__file__).parents[3]
ROOMS = ("tests/runtime/messages", "tests/runtime/bus/ipc")


@pytest.mark.skipif(quick is None, reason=f"all tests run in Python here: {why_not}")
@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_the_tests_of_messages_and_of_the_bus_pass_in_python_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *ROOMS],
        cwd=ROOT, env=os.environ | {PURE: "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def test_with_the_word_in_the_environment_nothing_is_done_in_c() -> None:
    program = (
        "from olympus.runtime.quick import quick, why_not\n"
        "from olympus.runtime.messages import Reading\n"
        "from olympus.runtime.messages.parts import parts_of\n"
        "print(quick, why_not, parts_of(Reading).plan)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {PURE: "1"}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert done.stdout == f"None {PURE} is set None\n"
