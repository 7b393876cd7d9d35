"""The first nursery is forked from the launcher, and of it nothing is left that nobody needs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from olympus.runtime.launch.forking import NURSERY
from olympus.runtime.launch.nursery import MODULE
from olympus.runtime.launch.signals import NUMBERS
from olympus.runtime.launch.testing import Launched

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

DRIVER = "from olympus.runtime.cli import main; main()"
NODE = """
from olympus.runtime.node import Node

class Lamp(Node):
    pass
"""
TWO = """
name: robot
hosts: {one: {}, two: {}}
nodes:
  first: {uses: lamp_node, host: one}
  second: {uses: lamp_node, host: two}
"""
ONE = """
name: robot
hosts: {one: {respawn: {policy: always, delay_s: 0.05}}}
nodes: {first: {uses: lamp_node, host: one}}
"""
SHOWN = """
import os, sys
from pathlib import Path
from olympus.runtime.launch.commandline import show, widen

before = Path("/proc/self/environ").read_bytes()
assert widen()
assert Path("/proc/self/environ").read_bytes() == before
for words in (["a" * 3000, "b"], ["python", "-m", "short"]):
    show(words)
    if os.fork() == 0:
        found = Path("/proc/self/cmdline").read_bytes()
        os._exit(found.rstrip(b"\\0") != " ".join(words).encode())
    assert os.wait()[1] == 0
"""


WAITING = """
import time
from pathlib import Path
from olympus.runtime.launch import planted

planted.plant()
child = planted.take()
own = Path("/proc/self/cmdline").read_bytes()
until = time.monotonic() + 10
while (words := Path(f"/proc/{child.pid}/cmdline").read_bytes()) == own:
    assert time.monotonic() < until
    time.sleep(0.01)
child.end()
print(words.rstrip(b"\\0").decode())
"""


@pytest.fixture
def robot() -> Iterator[Launched]:
    with tempfile.TemporaryDirectory(prefix="oly") as folder:
        (Path(folder) / "lamp_node.py").write_text(NODE)
        (Path(folder) / "robot.yaml").write_text(TWO)
        made = Launched(Path(folder) / "robot.yaml", root=Path(folder))
        yield made
        made.stop()
        assert made.left_behind == []


def layout(pid: int) -> str:
    """Return where a process has what the kernel gives to each at a place of its own."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return next(line.partition("-")[0] for line in lines if line.endswith("[vdso]"))


def restarted(robot: Launched, process: str) -> int:
    """Kill a process; return the id of the one that comes in its place."""
    os.kill(robot.pids()[process], signal.SIGKILL)
    deadline = time.monotonic() + 30
    while (entry := robot.ledger(process))["state"] != "ready" or not entry["restarts"]:
        robot.check(f"{process} is back", deadline)
        time.sleep(0.01)
    return int(entry["pid"])


def test_the_first_nursery_is_forked_from_the_launcher_and_the_next_one_is_not(
    robot: Launched,
) -> None:
    with robot:
        robot.until_active()
        pids = robot.pids()
        assert {layout(pid) for pid in pids.values()} == {layout(robot.pid)}
        assert os.getsid(pids[NURSERY]) == pids[NURSERY]
        assert layout(restarted(robot, NURSERY)) != layout(robot.pid)


def test_what_the_launcher_was_to_ignore_its_processes_do_not(robot: Launched) -> None:
    before = [signal.signal(number, signal.SIG_IGN) for number in NUMBERS]
    try:
        robot.__enter__()
    finally:
        for number, handler in zip(NUMBERS, before, strict=True):
            signal.signal(number, handler)
    robot.until_active()
    asked = sum(1 << number - 1 for number in NUMBERS)
    for name, pid in robot.pids().items():
        status = Path(f"/proc/{pid}/status").read_text()
        ignored = int(status.partition("SigIgn:")[2].split()[0], 16)
        assert not ignored & asked, f"{name} ignores {ignored:x}"


def test_one_host_alone_is_forked_too_and_then_nothing_waits_for_another(robot: Launched) -> None:
    (robot.root / "robot.yaml").write_text(ONE)
    with robot:
        robot.until_active()
        pids = robot.pids()
        assert sorted(pids) == ["launcher", "one"]
        assert layout(pids["one"]) == layout(robot.pid)
        assert sorted(robot.alive()) == sorted(pids.values())
        assert "nursery" not in robot.output
        assert layout(restarted(robot, "one")) != layout(robot.pid)


@pytest.mark.parametrize("file", [TWO, ONE])
def test_where_what_was_planted_has_ended_processes_are_executed_and_nobody_is_told(
    robot: Launched, file: str
) -> None:
    (robot.root / "robot.yaml").write_text(file)
    (robot.root / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if 'launch' in sys.orig_argv:\n"
        "    os.register_at_fork(after_in_child=lambda: os._exit(1))\n"
    )
    path = {"PYTHONPATH": str(robot.root)}
    with Launched(robot.root / "robot.yaml", root=robot.root, environment=path) as launched:
        launched.until_active()
        pids = launched.pids()
        assert layout(pids["one"]) != layout(launched.pid)
        if file == TWO:
            assert layout(pids["one"]) == layout(pids[NURSERY])
            assert launched.ledger(NURSERY)["restarts"] == 0
        assert f"{NURSERY}:" not in launched.output
    assert launched.left_behind == []


def test_a_launch_that_comes_to_nothing_leaves_no_process(robot: Launched) -> None:
    (robot.root / "robot.yaml").write_text("nodes: {first: {uses: no_such_node}}\n")
    with robot:
        deadline = time.monotonic() + 30
        while "no_such_node" not in robot.output and time.monotonic() < deadline:
            time.sleep(0.01)
    assert robot.left_behind == []


@pytest.mark.parametrize("words", [["launch", "no-such.yaml"], ["check", "robot.yaml"]])
def test_nothing_planted_outlives_a_command_that_needs_none(
    robot: Launched, words: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, *words, *(["--no-import"] if "check" in words else [])],
        cwd=robot.root,
        env={**os.environ, "XDG_RUNTIME_DIR": str(robot.root)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in (0, 2)
    assert robot.alive() == []


def test_a_check_looks_at_the_classes_in_a_process_of_the_same_layout(robot: Launched) -> None:
    (robot.root / "lamp_node.py").write_text(
        NODE
        + "import json, os\n"
        + "from pathlib import Path\n"
        + "lines = Path('/proc/self/maps').read_text().splitlines()\n"
        + "where = next(line.partition('-')[0] for line in lines if line.endswith('[vdso]'))\n"
        + "Path('seen').write_text(json.dumps([where, os.getppid()]))\n"
    )
    code = (
        "import atexit, os; from pathlib import Path; lines = "
        "[one for one in Path('/proc/self/maps').read_text().splitlines() if '[vdso]' in one]; "
        "me = os.getpid(); atexit.register(lambda: os.getpid() == me and "
        "print(lines[0].partition('-')[0], me)); "
    )
    done = subprocess.run(
        [sys.executable, "-c", code + DRIVER, "check", "robot.yaml"],
        cwd=robot.root,
        env={**os.environ, "XDG_RUNTIME_DIR": str(robot.root)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    where, parent = done.stdout.splitlines()[-1].split()
    assert json.loads((robot.root / "seen").read_text()) == [where, int(parent)]
    assert robot.alive() == []


def test_processes_of_a_launch_are_not_called_as_the_command_is(robot: Launched) -> None:
    (robot.root / "lamp_node.py").write_text(
        NODE
        + "import os, sys\n"
        + "from pathlib import Path\n"
        + "name = Path('/proc/self/comm').read_text().strip()\n"
        + "with Path('names').open('a') as file:\n"
        + "    print(name, sys.path[0] == str(Path.cwd()), *sys.orig_argv[:3], file=file)\n"
    )
    done = subprocess.run(
        [str(Path(sys.executable).parent / "olympus"), "launch", "robot.yaml", "--duration", "0.1"],
        cwd=robot.root,
        env={**os.environ, "XDG_RUNTIME_DIR": str(robot.root)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0
    python = Path(sys.executable).parent / "python"
    looking, *hosts = (robot.root / "names").read_text().splitlines()
    start = f"{python.name} True {python} -m olympus.runtime"
    assert looking == f"{start}.launch.looking"
    assert hosts == [f"{start}.node.host"] * 2


def test_what_waits_is_not_taken_for_a_second_launcher() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WAITING], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == [sys.executable, "-m", MODULE]


def test_a_command_line_longer_than_our_own_is_shown_and_the_environment_stays() -> None:
    done = subprocess.run([sys.executable, "-c", SHOWN], timeout=60, check=False)
    assert done.returncode == 0
