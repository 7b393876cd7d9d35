"""A driver never runs again, and what could not be compared is never called equal."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from olympus.runtime.launch.testing import Launched

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]
HERE = Path(__file__).resolve().parent
GREETING = b"hello\n"


class Wire:
    """The far end of a serial port: a device that scans, and hears who opens the port."""

    def __init__(self) -> None:
        self._far, near = pty.openpty()
        tty.setraw(near)
        self._near, self.port = near, os.ttyname(near)
        self.heard = b""
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._scan)
        self._thread.start()

    def close(self) -> None:
        self._is_over.set()
        self._thread.join()
        os.close(self._far)
        os.close(self._near)

    def _scan(self) -> None:
        number = 0
        while not self._is_over.wait(0.02):
            number += 1
            os.write(self._far, b"scan %d\n" % number)
            while select.select([self._far], [], [], 0)[0]:
                self.heard += os.read(self._far, 100)


@contextmanager
def recorded(folder: Path, nodes: Mapping[str, object]) -> Iterator[None]:
    """Record nodes of driver_nodes.py or touching_nodes.py for a second."""
    for name in ("driver_nodes.py", "touching_nodes.py"):
        shutil.copy(HERE / name, folder)
    recorder = {
        "uses": "olympus.nodes.recorder",
        "params": {"journal": True, "path": str(folder / "record"), "is_durable": False},
    }
    file = folder / "launch.yaml"
    telemetry = {"journal": True}
    file.write_text(json.dumps({"telemetry": telemetry, "nodes": {**nodes, "recorder": recorder}}))
    with Launched(file, root=folder) as robot:
        robot.until_active(60)
        time.sleep(1.0)
    yield


def replay(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "olympus"), "replay", str(folder / "record")]
    return subprocess.run(
        [*command, *words], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def wire() -> Iterator[Wire]:
    made = Wire()
    yield made
    made.close()


def mark(folder: Path, module: str = "driver_nodes") -> None:
    """Let the driver's class say what it is."""
    file = folder / f"{module}.py"
    text = file.read_text()
    file.write_text(
        text.replace(
            '    scan = output("scan"', '    is_replayed = False\n    scan = output("scan"'
        )
    )


def test_a_driver_without_the_mark_does_not_run_again(short_path: Path, wire: Wire) -> None:
    nodes = {
        "lidar": {"uses": "driver_nodes:Lidar", "params": {"port": wire.port}},
        "mapper": {"uses": "driver_nodes:Mapper"},
        "second": {"uses": "driver_nodes:Mapper", "remaps": {"map": "map2"}},
    }
    with recorded(short_path, nodes):
        assert wire.heard == GREETING
        told = json.loads(replay(short_path, "--verify", "--json").stdout)
        assert told["nodes"] == ["mapper", "second"]
        assert told["topics"]["map"]["equal"] > 10
        assert told["differences"] == []
        (missed,) = told["uncompared"]
        assert (missed["topic"], missed["node"], missed["is_meant"]) == ("scan", "lidar", False)
        assert missed["messages"] > 10
        done = replay(short_path, "--verify")
        assert done.returncode == 1
        assert "NOT COMPARED: scan, " in done.stdout
        assert "Lidar opens a device by os.open (driver_nodes.py:2" in done.stdout
        assert "NOT ALL was compared" in done.stdout
        assert "equal: " not in done.stdout
        check_diff(short_path)
        refused = replay(short_path, "--inject", "lidr", "--show", "**")
        assert (refused.returncode, refused.stdout) == (2, ""), "it ran before it was told"
        assert "no journal tells of it; did you mean 'lidar'?" in refused.stderr
        left_out = replay(short_path, "--inject", "lidar")
        assert left_out.returncode == 0
        assert "left out: scan, " in left_out.stdout
        mark(short_path)
        done = replay(short_path, "--verify")
        assert done.returncode == 0
        assert "Lidar says is_replayed = False" in done.stdout
        assert "equal: " in done.stdout
        assert wire.heard == GREETING, "a replay opened the device"


def check_diff(folder: Path) -> None:
    (folder / "more.yaml").write_text("mapper: {gain: 2}\n")
    done = replay(folder, "--diff", "more.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "lidar did not run, its messages are the recorded ones: Lidar opens" in done.stdout
    told = json.loads(replay(folder, "--diff", "more.yaml", "--json").stdout)
    assert [one["topic"] for one in told["changes"] if one["field"]] == ["map"]
    assert [one["node"] for one in told["apart"]] == ["lidar"]
    done = replay(folder, "--diff", "more.yaml", "--inject", "second", "--json")
    assert {one["node"] for one in json.loads(done.stdout)["apart"]} == {"lidar", "second"}
    assert [one["topic"] for one in json.loads(done.stdout)["changes"]] == ["map"]
    done = replay(folder, "--diff", "more.yaml", "--inject", "mapper")
    assert (done.returncode, done.stdout) == (2, "")
    assert "mapper does not run with other parameters: left out by --inject" in done.stderr
    done = replay(folder, "--diff", "more.yaml", "--inject", "secnd")
    assert (done.returncode, done.stdout) == (2, "")
    assert "did you mean 'second'?" in done.stderr
    both = replay(folder, "--diff", "more.yaml", "--verify")
    assert (both.returncode, both.stdout) == (2, "")
    assert "--diff and --verify exclude each other" in both.stderr
    (folder / "lidar.yaml").write_text("lidar: {port: x}\n")
    done = replay(folder, "--diff", "lidar.yaml")
    assert done.returncode == 2
    assert "lidar does not run with other parameters: Lidar opens a device" in done.stderr


def test_a_driver_that_says_it_runs_again_is_stopped_at_its_device(
    short_path: Path, wire: Wire
) -> None:
    nodes = {
        "sonar": {"uses": "driver_nodes:Sonar", "params": {"port": wire.port}},
        "mapper": {"uses": "driver_nodes:Mapper"},
    }
    with recorded(short_path, nodes):
        done = replay(short_path, "--verify")
        assert done.returncode == 1
        assert f"of sonar: it reached for {wire.port} when it ran again" in done.stdout
        assert "NOT COMPARED: scan, " in done.stdout
        assert (done.stderr, "DIFFERENT" in done.stdout) == ("", False)
        (short_path / "more.yaml").write_text("mapper: {gain: 2}\n")
        done = replay(short_path, "--diff", "more.yaml")
        assert done.returncode == 2
        assert f"sonar reached for {wire.port} when it ran again; say is_rep" in done.stderr
        assert "Traceback" not in done.stderr
        assert wire.heard == GREETING, "a replay opened the device"


def test_a_driver_on_a_thread_that_no_source_tells_is_refused_its_device(
    short_path: Path, wire: Wire
) -> None:
    nodes = {"echo": {"uses": "driver_nodes:Echo", "params": {"port": wire.port}}}
    with recorded(short_path, nodes):
        assert wire.heard == GREETING
        done = replay(short_path)
        assert done.returncode == 1
        assert "DIFFERENT: echo no. 0 of echo, messages:" in done.stdout
        assert f"NOT COMPARED: a thread of one of the nodes reached for {wire.port}" in done.stdout
        assert "likely cause" not in done.stdout
        assert done.stderr == ""
        (short_path / "none.yaml").write_text("{}")
        done = replay(short_path, "--diff", "none.yaml")
        assert done.returncode == 2
        assert f"one of the nodes reached for {wire.port} when it ran again" in done.stderr
        assert "Traceback" not in done.stderr
        assert wire.heard == GREETING, "a replay opened the device"


def test_what_a_thread_of_nobody_reached_for_keeps_a_replay_from_being_equal(
    short_path: Path, wire: Wire
) -> None:
    nodes = {"ghost": {"uses": "driver_nodes:Ghost", "params": {"port": wire.port}}}
    with recorded(short_path, nodes):
        done = replay(short_path, "--verify")
        assert done.returncode == 1
        assert "DIFFERENT" not in done.stdout
        assert f"NOT COMPARED: a thread of one of the nodes reached for {wire.port}" in done.stdout
        assert "NOT ALL was compared" in done.stdout
        told = json.loads(replay(short_path, "--json").stdout)
        assert (told["is_equal"], told["unfollowed"]) == (False, [wire.port])
        (short_path / "none.yaml").write_text("{}")
        done = replay(short_path, "--diff", "none.yaml")
        assert done.returncode == 2
        assert f"a thread of one of the nodes reached for {wire.port}" in done.stderr


def test_a_module_is_refused_its_device_while_it_is_imported(short_path: Path, wire: Wire) -> None:
    (short_path / "port").write_text(wire.port)
    nodes = {
        "beacon": {"uses": "touching_nodes:Beacon"},
        "mapper": {"uses": "driver_nodes:Mapper"},
    }
    with recorded(short_path, nodes):
        heard = wire.heard
        assert heard
        done = replay(short_path, "--verify")
        assert done.returncode == 1
        why = f"it reached for {wire.port} while touching_nodes was imported"
        assert f"of beacon: {why}" in done.stdout
        assert "NOT ALL was compared" in done.stdout
        (short_path / "more.yaml").write_text("mapper: {gain: 2}\n")
        done = replay(short_path, "--diff", "more.yaml")
        assert (done.returncode, done.stderr) == (0, "")
        assert f"beacon did not run, its messages are the recorded ones: {why}" in done.stdout
        mark(short_path, "touching_nodes")
        done = replay(short_path, "--verify")
        assert (done.returncode, done.stderr) == (0, "")
        assert "left out: scan, " in done.stdout
        assert "Beacon says is_replayed = False" in done.stdout
        assert wire.heard == heard, "a replay opened the device"


def test_a_topic_of_which_nothing_comes_again_is_a_difference(short_path: Path) -> None:
    nodes = {"idler": {"uses": "driver_nodes:Idler"}, "mapper": {"uses": "driver_nodes:Mapper"}}
    with recorded(short_path, nodes):
        file = short_path / "driver_nodes.py"
        file.write_text(file.read_text().replace("LIVE = True", "LIVE = False"))
        done = replay(short_path)
        assert done.returncode == 1
        assert "DIFFERENT: word no. 0 of idler, messages:" in done.stdout
        assert "more messages" in done.stdout
        assert done.stderr == ""
        file.write_text(file.read_text() + "raise RuntimeError('not here')\n")
        done = replay(short_path)
        assert (done.returncode, done.stdout) == (2, "")
        assert "importing driver_nodes fails: RuntimeError: not here" in done.stderr
        assert "`--inject idler` lets its recorded messages stand" in done.stderr
