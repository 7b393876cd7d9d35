"""A watch refuses devices and sockets to what runs within, and nothing to anybody else."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

import pytest

from olympus.runtime.replay.halting import Reached, watching


def test_devices_and_sockets_are_refused_within_and_only_there(tmp_path: Path) -> None:
    far, near = os.openpty()
    port = os.ttyname(near)
    link = tmp_path / "port"
    link.symlink_to(port)
    told: list[str] = []
    with watching(told.append):
        for path in (port, os.fsencode(port), link):
            with pytest.raises(Reached):
                os.open(path, os.O_RDWR | os.O_NOCTTY)
        with socket.socket(socket.AF_UNIX) as outside, pytest.raises(Reached):
            outside.connect(str(tmp_path / "nobody"))
        (tmp_path / "notes").write_text("a file is no device")
        Path("/dev/null").write_text("nor is nothing")
    assert told == [port] * 3 + [f"socket.connect '{tmp_path}/nobody'"]
    for one in (os.open(port, os.O_RDWR | os.O_NOCTTY), far, near):
        os.close(one)
    assert len(told) == 4


def test_a_task_and_its_threads_stay_watched_when_the_watch_is_over() -> None:
    told: list[str] = []

    async def later() -> None:
        await asyncio.sleep(0)
        with pytest.raises(Reached):
            await asyncio.to_thread(os.open, "/dev/tty", os.O_RDONLY)

    async def main() -> None:
        with watching(told.append):
            task = asyncio.create_task(later())
        await task

    asyncio.run(main())
    assert told == ["/dev/tty"]
