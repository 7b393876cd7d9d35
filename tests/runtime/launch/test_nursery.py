"""Hosts that are forked: like executed ones, and started all the same where no nursery helps."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from olympus.runtime.launch.adopting import Adopted, adoption
from olympus.runtime.launch.forking import NURSERY
from olympus.runtime.launch.nursery import HOST_MODULE, MODULE, ROOM, Order
from olympus.runtime.launch.testing import Launched

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

NODE = """
import gc, json, os, random, resource, signal, sys
from pathlib import Path
import numpy as np
import probe_plugin
from olympus.runtime.node import Node, NodeParams, timer

VERSION = 1

class Probe(Node):
    class Params(NodeParams):
        folder: str

    async def on_activate(self):
        status = dict(
            line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines()
        )
        told = {
            "version": VERSION,
            "random": [random.random(), float(np.random.random())],
            "word": hash("word"),
            "where": id(np),
            "alike": {
                "files": probe_plugin.FILES,
                "signals": [status[name] for name in ("SigBlk", "SigIgn", "SigCgt")],
                "handler": probe_plugin.HANDLER,
                "is_leader": os.getpid() == os.getsid(0) == os.getpgid(0),
                "parent": os.getppid(),
                "nice": os.nice(0),
                "affinity": sorted(os.sched_getaffinity(0)),
                "limits": [resource.getrlimit(limit) for limit in range(16)],
                "folder": os.getcwd(),
                "program": sys.argv[0],
                "path": sys.path,
                "collects": gc.isenabled(),
                "input": os.readlink("/proc/self/fd/0"),
                "environment": {**os.environ, "_": ""},
            },
        }
        draft = Path(self.params.folder, self.name + ".draft")
        draft.write_text(json.dumps(told))
        draft.replace(draft.with_suffix(".json"))
"""
PLUGIN = """
import signal
from pathlib import Path

def kind(entry):
    return str(entry.readlink()).partition(":")[0] if entry.is_symlink() else "this list"

FILES = sorted(map(kind, list(Path("/proc/self/fd").iterdir())))
HANDLER = [getattr(signal.getsignal(one), "__name__", "") for one in signal.valid_signals()]
"""
ROBOT = """
name: robot
plugins: [probe_plugin]
hosts:
  one: {cpu_affinity: [0], nice: 3, respawn: {policy: always, delay_s: 0.05}}
  two: {cpu_affinity: [0], nice: 3}
  apart: {cpu_affinity: [0], nice: 3, forked: false}
nodes:
  first: {uses: probe_node, host: one, params: {folder: "FOLDER"}}
  second: {uses: probe_node, host: two, params: {folder: "FOLDER"}}
  third: {uses: probe_node, host: apart, params: {folder: "FOLDER"}}
"""
SAYS = "hosts are started as new interpreters"


class Site:
    """A folder with a launch file whose nodes tell how they find themselves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "probe_node.py").write_text(NODE)
        (folder / "probe_plugin.py").write_text(PLUGIN)
        (folder / "robot.yaml").write_text(ROBOT.replace("FOLDER", str(folder)))
        self.robot = Launched(folder / "robot.yaml", root=folder)

    def told(self, node: str) -> Any:
        return json.loads((self.folder / f"{node}.json").read_text())

    def until(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 30
        while not condition():
            self.robot.check(what, deadline)
            time.sleep(0.01)

    def is_ready(self, process: str, restarts: int = 0) -> bool:
        entry = self.robot.ledger(process)
        return entry.get("state") == "ready" and entry["restarts"] == restarts

    def customized(self, code: str) -> None:
        """Have every interpreter of the robot run some code when it starts."""
        imports = "import os, signal, sys, threading, time\n"
        (self.folder / "sitecustomize.py").write_text(imports + code)
        path = {"PYTHONPATH": str(self.folder)}
        self.robot = Launched(self.folder / "robot.yaml", root=self.folder, environment=path)

    def kill_one(self) -> None:
        """Kill the host `one` and wait until it is back."""
        entry = self.robot.ledger("one")
        os.kill(entry["pid"], signal.SIGKILL)
        self.until(lambda: self.is_ready("one", entry["restarts"] + 1), "one is back")

    def is_forked(self, host: str = "one") -> bool:
        """Tell whether a host has the address layout of the nursery that is there now."""
        pids = self.robot.pids()
        return layout(pids[host]) == layout(pids[NURSERY])


def layout(pid: int) -> str:
    """Return where a process has what the kernel gives to each at a place of its own."""
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    return next(line.partition("-")[0] for line in lines if line.endswith("[vdso]"))


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()


@pytest.fixture
def site() -> Iterator[Site]:
    # A short path: the name of a unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="oly") as folder:
        made = Site(Path(folder))
        yield made
        made.robot.stop()
        assert made.robot.left_behind == []


def test_a_forked_host_finds_itself_as_an_executed_one_does(site: Site) -> None:
    site.customized("import numpy.random\n")  # so the nursery has it, with a state of its own
    with site.robot:
        site.robot.until_active()
        first, second, third = (site.told(name) for name in ("first", "second", "third"))
        assert first["alike"] == third["alike"]
        assert first["alike"]["parent"] == site.robot.pid
        assert first["alike"]["nice"] == 3
        assert first["where"] == second["where"] != third["where"]
        assert first["word"] == second["word"]
        assert first["random"][0] != second["random"][0]
        assert first["random"][1] != second["random"][1]
        pids = site.robot.pids()
        assert site.is_forked("one")
        assert site.is_forked("two")
        assert not site.is_forked("apart")
        lines = {name: command_line(pids[name]) for name in ("one", "apart")}
        assert lines["one"] == lines["apart"].replace("apart.json", "one.json")
        assert command_line(pids[NURSERY]) == f"{sys.executable} -m {MODULE}"


def test_affinity_and_niceness_hold_for_every_thread_of_a_forked_host(site: Site) -> None:
    with site.robot:
        site.robot.until_active()
        pid = site.robot.pids()["one"]
        found = []
        for one in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(ProcessLookupError):  # a thread that has just ended
                number = int(one.name)
                nice = os.getpriority(os.PRIO_PROCESS, number)
                found.append((os.sched_getaffinity(number), nice))
        assert len(found) > 1
        assert all(one == ({0}, 3) for one in found), found


def test_the_nursery_has_one_thread_and_nothing_open_but_its_socket(site: Site) -> None:
    with site.robot:
        site.robot.until_active()
        site.kill_one()
        nursery = Path(f"/proc/{site.robot.pids()[NURSERY]}")
        assert len(list((nursery / "task").iterdir())) == 1
        names = ["0", "1", "2"]  # what it forks the next one with it closes right after
        site.until(lambda: sorted(one.name for one in (nursery / "fd").iterdir()) == names, "so")
        assert str((nursery / "fd" / "0").readlink()).startswith("socket:")


def test_a_host_that_comes_back_runs_its_module_as_it_is_now(site: Site) -> None:
    with site.robot:
        site.robot.until_active()
        assert site.told("first")["version"] == 1
        (site.folder / "probe_node.py").write_text(NODE.replace("VERSION = 1", "VERSION = 22"))
        site.kill_one()
        assert site.told("first")["version"] == 22
        assert site.is_forked()
        assert site.robot.ledger("one")["last_exit"] == "SIGKILL"


def test_a_killed_nursery_hurts_no_host_and_is_replaced(site: Site) -> None:
    with site.robot:
        site.robot.until_active()
        before = site.robot.pids()
        os.kill(before[NURSERY], signal.SIGKILL)
        site.until(lambda: site.is_ready(NURSERY, 1), "the nursery is back")
        after = site.robot.pids()
        assert {**before, NURSERY: 0} == {**after, NURSERY: 0}
        assert not site.is_forked()
        site.kill_one()
        assert site.is_forked()


def test_without_its_nursery_a_host_comes_back_as_a_new_interpreter(site: Site) -> None:
    slow = site.folder / "slow"
    site.customized(
        f"while {MODULE!r} in sys.orig_argv and os.path.exists({str(slow)!r}):\n"
        "    time.sleep(0.01)\n"
    )
    with site.robot:
        site.robot.until_active()
        slow.touch()
        os.kill(site.robot.pids()[NURSERY], signal.SIGKILL)
        site.until(lambda: site.robot.ledger(NURSERY)["restarts"] == 1, "it is missed")
        site.kill_one()
        slow.unlink()
        site.until(lambda: site.is_ready(NURSERY, 1), "the nursery is back")
        assert not site.is_forked()


def test_a_frozen_nursery_is_given_up_and_replaced(site: Site) -> None:
    with site.robot:
        site.robot.until_active()
        frozen = site.robot.pids()[NURSERY]
        os.kill(frozen, signal.SIGSTOP)
        site.kill_one()
        site.until(lambda: site.is_ready(NURSERY, 1), "there is a new nursery")
        assert not site.is_forked()
        assert site.robot.output.count(SAYS) == 1
        assert "did not answer for 2 s" in site.robot.output
        assert not Path(f"/proc/{frozen}").exists()
        site.kill_one()
        assert site.is_forked()


def test_a_nursery_in_which_a_thread_begins_forks_nothing_any_more(site: Site) -> None:
    site.customized(
        "begin = lambda *_: threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
        "signal.signal(signal.SIGUSR1, begin)\n"
    )
    with site.robot:
        site.robot.until_active()
        nursery = site.robot.pids()[NURSERY]
        os.kill(nursery, signal.SIGUSR1)
        site.until(lambda: len(list(Path(f"/proc/{nursery}/task").iterdir())) == 2, "a thread")
        site.kill_one()
        assert "2 threads run in the nursery" in site.robot.output
        site.until(lambda: site.is_ready(NURSERY, 1), "there is a new nursery")
        assert not site.is_forked()


def test_a_launch_goes_on_where_no_nursery_can_be_made(site: Site) -> None:
    site.customized(
        f"if {MODULE!r} in sys.orig_argv or 'launch' in sys.orig_argv:\n"
        "    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    )
    with site.robot:
        site.robot.until_active()
        assert site.robot.output.count(SAYS) == 1
        assert "2 threads run in the nursery" in site.robot.output
        assert site.robot.ledger(NURSERY)["state"] == "failed"
        site.kill_one()
        assert site.robot.output.count(SAYS) == 1
        assert site.robot.stop() == 0


def test_nothing_outlives_a_killed_launcher_a_frozen_nursery_included(site: Site) -> None:
    with site.robot:
        site.robot.until_active()
        site.until(lambda: len(site.robot.alive()) == 5, "launcher, nursery, three hosts")
        os.kill(site.robot.pids()[NURSERY], signal.SIGSTOP)
        os.kill(site.robot.pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while site.robot.alive() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert site.robot.alive() == []


def test_one_host_alone_needs_no_nursery(site: Site) -> None:
    (site.folder / "robot.yaml").write_text(
        ROBOT.replace("FOLDER", str(site.folder)).replace("  two: {", "  two: {forked: false, ")
    )
    with site.robot:
        site.robot.until_active()
        assert NURSERY not in site.robot.pids()


class Bare:
    """A nursery whose launcher is this test."""

    def __init__(self) -> None:
        self.channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-m", MODULE, str(os.getpid()), ROOM],
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
            )
        assert self.process.stdout is not None
        assert json.loads(self.process.stdout.readline()) == {"ready": True}

    def ask(self, file: Path, output: int) -> tuple[socket.socket, Any]:
        """Order a host; return where it waits, and what was answered."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(10)
        with theirs:
            order = Order([sys.executable, "-m", HOST_MODULE, str(file)], status=30, lifeline=31)
            descriptors = [output, output, output, theirs.fileno()]
            socket.send_fds(self.channel, [order.encoded()], descriptors)
        return ours, json.loads(ours.recv(1000))

    def close(self) -> None:
        self.channel.close()
        assert self.process.wait(10) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def bare() -> Iterator[Bare]:
    made = Bare()
    yield made
    made.close()


async def test_a_host_whose_order_was_given_up_never_begins(bare: Bare, tmp_path: Path) -> None:
    with (tmp_path / "output").open("wb") as output, adoption():
        answer, told = bare.ask(tmp_path / "no-spec", output.fileno())
        host = Adopted(told["pid"], answer)
        assert host.returncode is None
        answer.close()
        async with asyncio.timeout(10):
            assert await host.wait() == 1
    assert (tmp_path / "output").read_text() == ""


async def test_a_host_that_is_let_go_runs_and_its_exit_code_is_ours(
    bare: Bare, tmp_path: Path
) -> None:
    with (tmp_path / "output").open("wb") as output, adoption():
        answer, told = bare.ask(tmp_path / "no-spec", output.fileno())
        host = Adopted(told["pid"], answer)
        host.let_go()
        async with asyncio.timeout(10):
            assert await host.wait() == 2
    assert "no-spec" in (tmp_path / "output").read_text()
    host.send_signal(signal.SIGTERM)  # nothing, now that it has ended


async def test_what_nobody_adopts_is_not_begun(bare: Bare, tmp_path: Path) -> None:
    with (tmp_path / "output").open("wb") as output:
        answer, told = bare.ask(tmp_path / "no-spec", output.fileno())
        answer.close()
    assert "the launcher is not its parent" in told["problem"]


async def test_only_a_child_can_be_adopted() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(ChildProcessError):
        Adopted(1, ours)


def test_a_nursery_that_is_not_the_launchers_child_ends_at_once() -> None:
    done = subprocess.run(
        [sys.executable, "-m", MODULE, "1", ROOM], stdin=subprocess.DEVNULL, timeout=30
    )
    assert done.returncode == 1
