"""What the kernel says of processes: running, frozen, ended, and at a terminal or not."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from olympus.runtime.safety.processes import ProcessWatch, has_terminal, idle


@pytest.fixture
def watch() -> Iterator[ProcessWatch]:
    one = ProcessWatch()
    yield one
    one.close()


def test_a_running_process_is_no_problem(watch: ProcessWatch) -> None:
    assert watch.is_able
    assert watch.problem(os.getpid()) == ""


def test_a_frozen_process_and_an_ended_one_are_told_apart(
    watch: ProcessWatch, until_true: Callable[..., None]
) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        pid = process.pid
        assert watch.problem(pid) == ""
        process.send_signal(signal.SIGSTOP)
        until_true(lambda: watch.problem(pid) == f"process {pid} is stopped")
        process.send_signal(signal.SIGCONT)
        until_true(lambda: watch.problem(pid) == "")
        process.kill()
        until_true(lambda: watch.problem(pid) == f"process {pid} has ended")  # a zombie
        process.wait()
        assert watch.problem(pid) == f"process {pid} has ended"  # gone altogether
        assert list(idle([("heartbeat x", pid), ("heartbeat y", os.getpid())], watch)) == [
            f"heartbeat x: process {pid} has ended"
        ]


def test_another_process_with_the_same_number_is_not_taken_for_it(tmp_path: Path) -> None:
    stat = tmp_path / "7" / "task" / "7" / "stat"
    stat.parent.mkdir(parents=True)
    mine = tmp_path / str(os.getpid()) / "stat"
    mine.parent.mkdir()
    mine.write_text("1 (x) R")
    stat.write_text("7 (a) b) S 1")
    watch = ProcessWatch(tmp_path)
    assert watch.problem(7) == ""
    stat.unlink()
    stat.write_text("7 (other) Z 1")
    assert watch.problem(7) == ""
    watch.keep([])
    assert watch.problem(7) == "process 7 has ended"
    stat.write_text("nonsense")
    watch.keep([])
    assert watch.problem(7) == ""
    watch.close()


def test_where_the_kernel_shows_nothing_only_heartbeats_tell(tmp_path: Path) -> None:
    watch = ProcessWatch(tmp_path)
    assert not watch.is_able
    assert watch.problem(1) == ""


def test_a_process_of_a_terminal_is_known_by_the_kernel(
    until_true: Callable[..., None],
) -> None:
    pid, leader = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", "input()"])
    try:
        until_true(lambda: has_terminal(pid))
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(leader)
    with subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
    ) as service:
        assert not has_terminal(service.pid)
        service.kill()
    assert not has_terminal(service.pid)
    assert not has_terminal(None)
