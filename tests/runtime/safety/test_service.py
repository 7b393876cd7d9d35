"""What the guardian says to whoever started it, heard at a real socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from olympus.runtime.errors import ConfigError
from olympus.runtime.safety.service import ServiceManager

MS = 1_000_000


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0olympus-service-{os.getpid()}-{tmp_path.name}")
        listening.setblocking(False)
        yield listening


def wishes(ear: socket.socket, **more: str) -> dict[str, str]:
    name: bytes = ear.getsockname()
    return {"NOTIFY_SOCKET": "@" + name[1:].decode(), "WATCHDOG_USEC": "200000", **more}


def test_it_is_told_twice_per_period_that_the_loop_turns(ear: socket.socket) -> None:
    manager = ServiceManager(wishes(ear))
    for now_ms in range(0, 301, 10):
        manager.feed(now_ms * MS + 1)
    assert [ear.recv(99) for _ in range(4)] == [b"WATCHDOG=1"] * 4
    with pytest.raises(BlockingIOError):
        ear.recv(99)
    manager.close()


@pytest.mark.parametrize("change", [{"WATCHDOG_USEC": "0"}, {"WATCHDOG_PID": str(os.getpid() + 1)}])
def test_where_nobody_asks_this_process_nothing_is_said(
    ear: socket.socket, change: dict[str, str]
) -> None:
    manager = ServiceManager(wishes(ear) | change)
    manager.feed(1)
    with pytest.raises(BlockingIOError):
        ear.recv(99)
    ServiceManager({}).feed(1)
    manager.close()


def test_who_is_gone_is_counted_and_keeps_nobody_waiting(tmp_path: Path) -> None:
    gone = {"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "2"}
    manager = ServiceManager(gone)
    manager.feed(1)
    assert manager.lost == 1
    manager.close()


@pytest.mark.parametrize("wrong", [{"NOTIFY_SOCKET": "here"}, {"WATCHDOG_USEC": "soon"}])
def test_wishes_that_make_no_sense_are_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        ServiceManager(wrong)
