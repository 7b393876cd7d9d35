"""What systemd is told, heard at a real socket."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from olympus.runtime.errors import ConfigError
from olympus.runtime.launch.ledger import read_ledger
from olympus.runtime.launch.notify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0olympus-test-{os.getpid()}-{tmp_path.name}")
        listening.settimeout(60)
        yield listening


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A folder with a short name: a socket's path has room for 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="oly") as folder:
        yield Path(folder)


def address(manager: socket.socket) -> str:
    name: bytes = manager.getsockname()
    return "@" + name[1:].decode()


def test_where_nobody_asks_nothing_is_said() -> None:
    quiet = Notifier({})
    quiet.ready("up")
    assert (quiet.period_s, quiet.lost) == (0.0, 0)


def test_what_is_said_fits_the_protocol(manager: socket.socket) -> None:
    told = Notifier({"NOTIFY_SOCKET": address(manager)})
    told.ready("patrol: two\nlines")
    assert manager.recv(999) == b"READY=1\nSTATUS=patrol: two lines"
    told.stopping()
    assert manager.recv(999) == b"STOPPING=1\nSTATUS=stopping"


def test_a_watchdog_for_another_process_is_not_ours() -> None:
    wishes = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "7"}
    assert Notifier(wishes, pid=7).period_s == 1.5
    assert Notifier(wishes, pid=8).period_s == 0.0


async def test_a_manager_that_is_gone_is_counted(tmp_path: Path) -> None:
    told = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "2000"})
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(told.feed_watchdog(), 0.1)
    assert told.lost > 1


@pytest.mark.parametrize("wishes", [{"NOTIFY_SOCKET": "here"}, {"WATCHDOG_USEC": "soon"}])
def test_wishes_that_make_no_sense_are_refused(wishes: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        Notifier(wishes)


@pytest.mark.e2e
def test_a_launch_is_ready_when_all_is_active_and_says_that_it_turns_and_ends(
    manager: socket.socket, runtime: Path, tmp_path: Path
) -> None:
    file = tmp_path / "one.yaml"
    file.write_text("name: one\nnodes:\n  planner: {uses: olympus.nodes.percepts}\n")
    wishes = {"NOTIFY_SOCKET": address(manager), "WATCHDOG_USEC": "200000"}
    command = [str(Path(sys.executable).parent / "olympus"), "launch", str(file)]
    environment = os.environ | wishes | {"XDG_RUNTIME_DIR": str(runtime)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as launch:
        heard = [manager.recv(999)]
        assert heard[0].startswith(b"READY=1\nSTATUS=one: 1 nodes are active")
        heard += [manager.recv(999), manager.recv(999)]
        assert set(heard[1:]) == {b"WATCHDOG=1"}
        launch.send_signal(signal.SIGINT)
        while (last := manager.recv(999)) == b"WATCHDOG=1":
            pass
        assert last.startswith(b"STOPPING=1")
        assert launch.wait(30) == 0


@pytest.mark.e2e
def test_a_guardian_whose_loop_does_not_turn_is_not_vouched_for(
    manager: socket.socket, runtime: Path, tmp_path: Path
) -> None:
    file = tmp_path / "one.yaml"
    file.write_text(
        "name: one\nsafety: {watch: {launcher: 1.0}}\n"
        "nodes:\n  planner: {uses: olympus.nodes.percepts}\n"
    )
    wishes = {"NOTIFY_SOCKET": address(manager), "WATCHDOG_USEC": "1000000"}
    command = [str(Path(sys.executable).parent / "olympus"), "launch", str(file)]
    environment = os.environ | wishes | {"XDG_RUNTIME_DIR": str(runtime)}
    silent = b"STATUS=the guardian's loop does not turn"
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as launch:
        assert manager.recv(999).startswith(b"READY=1")
        assert [manager.recv(999) for _ in range(5)] == [b"WATCHDOG=1"] * 5
        (run_dir,) = (runtime / "olympus").iterdir()
        processes: Any = read_ledger(run_dir)["processes"]
        guardian = int(processes["guardian"]["pid"])
        os.kill(guardian, signal.SIGSTOP)
        until(manager, silent)
        assert manager.recv(999) == silent
        os.kill(guardian, signal.SIGCONT)
        until(manager, b"WATCHDOG=1")
        launch.send_signal(signal.SIGINT)
        assert launch.wait(30) == 0
    assert not (run_dir / "guardian.notify").exists()


def until(manager: socket.socket, wanted: bytes) -> None:
    deadline = time.monotonic() + 30
    while manager.recv(999) != wanted:
        assert time.monotonic() < deadline
