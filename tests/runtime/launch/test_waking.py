"""How deeply processors may sleep while a launch runs: asked of the kernel, and given back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from olympus.runtime.launch.testing import Launched
from olympus.runtime.launch.waking import DEVICE, wakes_within_us, waking_within

LAUNCH = """
wake_us: 31
nodes:
  clock: {uses: olympus.nodes.conditions}
"""


def test_nothing_is_asked_for_where_nothing_is_said(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    with waking_within(None, lambda *words: told.append(words), tmp_path / "none"):
        pass
    assert told == []


def test_where_the_system_refuses_it_that_is_told_and_all_goes_on(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    with waking_within(20, lambda *words: told.append(words), tmp_path / "none"):
        told.append(("within", ""))
    ((text, kind), within) = told
    assert text.startswith(f"wake_us: {tmp_path}/none: No such file or directory; processors sleep")
    assert (kind, within) == ("warning", ("within", ""))


def test_a_device_that_takes_no_number_is_told_and_closed() -> None:
    told: list[tuple[str, str]] = []
    before = len(list(Path("/proc/self/fd").iterdir()))
    with waking_within(20, lambda *words: told.append(words), Path("/dev/full")):
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    ((text, kind),) = told
    assert text.startswith("wake_us: /dev/full: No space left on device; processors sleep")
    assert kind == "warning"


@pytest.mark.skipif(not os.access(DEVICE, os.R_OK | os.W_OK), reason=f"needs {DEVICE}")
def test_the_kernel_is_asked_and_forgets_it_when_the_launch_ends(short_path: Path) -> None:
    before_us = wakes_within_us()
    with waking_within(47, print):
        assert wakes_within_us() == min(47, before_us)
        with waking_within(23, print):
            assert wakes_within_us() == min(23, before_us)
        assert wakes_within_us() == min(47, before_us)
    assert wakes_within_us() == before_us
    file = short_path / "robot.yaml"
    file.write_text(LAUNCH)
    with Launched(file, root=short_path) as robot:
        robot.until_active()
        assert wakes_within_us() == min(31, before_us)
    assert wakes_within_us() == before_us
