"""A watch refuses devices and sockets to what runs within, and nothing to anybody else."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
from functools import partial
from pathlib import Path

import pytest

from olympus.runtime.replay.halting import Reached, guarding, watching


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
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outside, pytest.raises(Reached):
            outside.sendmsg([b"x"], [], 0, ("127.0.0.1", 9))
        with socket.socket(socket.AF_INET) as inside:
            inside.bind(("127.0.0.1", 0))  # so libraries find out what there is
            with pytest.raises(Reached):
                inside.bind(("127.0.0.1", 9))
        os.close(os.open("/dev/fd/" + str(far), os.O_RDWR | os.O_NOCTTY))  # open already
        (tmp_path / "notes").write_text("a file is no device")
        Path("/dev/null").write_text("nor is nothing")
    assert told[:4] == [port] * 3 + [f"socket.connect '{tmp_path}/nobody'"]
    assert told[4].startswith("socket.sendmsg ")
    assert told[5:] == ["socket.bind ('127.0.0.1', 9)"]
    for one in (os.open(port, os.O_RDWR | os.O_NOCTTY), far, near):
        os.close(one)
    assert len(told) == 6


def test_pins_and_sensors_in_sysfs_are_devices_and_processors_are_none(tmp_path: Path) -> None:
    told: list[str] = []
    link = tmp_path / "pwm"
    link.symlink_to("/sys/class/pwm")
    with watching(told.append):
        for path in ("/sys/class/gpio/export", link / "duty_cycle"):
            with pytest.raises(Reached):
                os.open(path, os.O_WRONLY)
        Path("/sys/devices/system/cpu/online").read_text()
    assert told == ["/sys/class/gpio/export", "/sys/class/pwm/duty_cycle"]


def test_programs_are_refused_but_for_a_module_that_is_imported(tmp_path: Path) -> None:
    told: list[str] = []
    made = tmp_path / "made"
    begins = (
        partial(subprocess.run, ["touch", str(made)], check=False),
        partial(subprocess.run, f"touch {made}", shell=True, check=False),
        partial(os.system, f"touch {made}"),
        partial(os.posix_spawn, "/bin/touch", ["touch", str(made)], {}),
    )
    for begin in begins:
        with watching(told.append), pytest.raises(Reached):
            begin()
    assert not made.exists()
    assert told == [
        "the program touch",
        *[f"the program touch {made}"] * 2,
        "the program /bin/touch",
    ]
    with watching(told.append, is_import=True):
        begins[0]()
    assert made.exists() and len(told) == 4


def test_threads_are_refused_while_a_guard_stands_and_the_guarding_one_is_not() -> None:
    far, near = os.openpty()
    port = os.ttyname(near)
    told: list[str] = []
    ends: list[object] = []

    def reach(begin: threading.Event | None = None) -> None:
        if begin is not None:
            begin.wait(10)
        try:
            os.close(os.open(port, os.O_RDWR | os.O_NOCTTY))
            ends.append(None)
        except Reached as end:
            ends.append(end)

    def run() -> None:
        thread = threading.Thread(target=reach)
        thread.start()
        thread.join(10)

    is_over = threading.Event()
    late = threading.Thread(target=reach, args=(is_over,))
    with guarding(told.append):
        run()
        late.start()
        os.close(os.open(port, os.O_RDWR | os.O_NOCTTY))
    run()
    is_over.set()
    late.join(10)
    os.close(far)
    os.close(near)
    assert told == [port]
    assert [type(end) for end in ends] == [Reached, type(None), Reached]


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
