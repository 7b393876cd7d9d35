"""Whole launches: real guardian, hub, hosts; started, disturbed, ended."""

from __future__ import annotations

import json
import os
import pty
import resource
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from olympus.runtime.safety.client import SafetyClient

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

DRIVER = "from olympus.runtime.cli import main; main()"
NODES = """
import signal, time
from pydantic import Field
from olympus.runtime.errors import DeviceError
from olympus.runtime.messages import Command
from olympus.runtime.node import Node, NodeParams, subscribe, timer

class Lamp(Node):
    class Params(NodeParams):
        level: float = Field(0.5, ge=0, le=1, description="How bright it is.")
        name: str = "lamp"
        is_broken: bool = False
        hangs: bool = False
        url: str = ""

    async def on_activate(self):
        if self.params.is_broken:
            raise DeviceError("the lamp is broken; change the bulb")
        self.log.info("lit", level=self.params.level)

    @subscribe("command")
    def on_command(self, command: Command) -> None:
        self.log.warning(f"told to {command.text}")

    @timer(0.1)
    def on_timer(self):
        if self.params.hangs:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
            self.log.warning("hanging")
            time.sleep(600)

    def on_params(self, changed):
        self.log.warning("changed", level=self.params.level)
"""
STUCK = """
import time
from olympus.runtime.node import Node

class Stuck(Node):
    def __init__(self, context):
        time.sleep(600)
"""
ROBOT = """
name: robot
namespace: rover
params_file: tuned.yaml
safety: {watch: {two: 0.5}}
nodes:
  first: {uses: "lamp_node:Lamp", host: one}
  second: {uses: "lamp_node:Lamp", host: two, depends_on: [first], params: {level: 0.3}}
  third: {uses: "lamp_node:Lamp", host: two, depends_on: [second]}
"""


class Site:
    """A folder with a launch file, and launchers that run there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.launchers: list[subprocess.Popen[str]] = []
        (folder / "lamp_node.py").write_text(NODES)
        (folder / "robot.yaml").write_text(ROBOT)
        (folder / "tuned.yaml").write_text("second: {level: 0.4}\n")

    @property
    def run_dir(self) -> Path:
        return self.folder / "olympus" / "robot"

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-c", DRIVER, *words]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "XDG_RUNTIME_DIR": str(self.folder)}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=100,
        )

    def launch(self, *words: str) -> subprocess.Popen[str]:
        output = (self.folder / "output").open("w")
        with output:
            process = subprocess.Popen(
                self.command("launch", "robot.yaml", *words),
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                text=True,
            )
        self.launchers.append(process)
        return process

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    def ledger(self) -> dict[str, object]:
        try:
            content: dict[str, object] = json.loads((self.run_dir / "launch.json").read_text())
        except (OSError, ValueError):
            return {}
        return content

    def process(self, name: str) -> dict[str, object]:
        processes = self.ledger().get("processes", {})
        found = processes.get(name, {}) if isinstance(processes, dict) else {}
        return dict(found)

    def until(self, condition: Callable[[], bool], within_s: float = 60.0) -> None:
        deadline = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {within_s:g} s; the launcher said:\n{self.output}")
            time.sleep(0.02)

    def until_running(self) -> None:
        self.until(lambda: self.ledger().get("state") == "running")
        self.until(lambda: "motion is stopped" in self.output)

    def marked(self) -> list[int]:
        """Return the processes of this site: those that know its folder."""
        mark = f"XDG_RUNTIME_DIR={self.folder}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                    if mark in (entry / "environ").read_bytes() and state != "Z":
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found


class Screen:
    """What a terminal shows."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.text = ""

    def until(self, wanted: str, within_s: float = 60.0) -> None:
        deadline = time.monotonic() + within_s
        while wanted not in self.text:
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not select.select([self.fd], [], [], left_s)[0]:
                pytest.fail(f"{wanted!r} was not shown:\n{self.text}")
            self.text += os.read(self.fd, 65536).decode(errors="replace")

    def press(self, key: bytes) -> None:
        os.write(self.fd, key)


@contextmanager
def at_a_terminal(
    site: Site,
) -> Iterator[tuple[subprocess.Popen[bytes], Screen, Callable[[], bool]]]:
    """Launch at a terminal; the last tells whether its modes are as they were before."""
    leader, follower = pty.openpty()
    before = termios.tcgetattr(follower)
    launcher = subprocess.Popen(
        ["setsid", "--ctty", "--wait", *site.command("launch", "robot.yaml")],
        cwd=site.folder,
        env={**site.environment, "TERM": "xterm"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    try:
        yield launcher, Screen(leader), lambda: termios.tcgetattr(follower)[3] == before[3]
    finally:
        launcher.kill()
        launcher.wait(10)
        os.close(leader)
        os.close(follower)


@pytest.fixture
def site() -> Iterator[Site]:
    # A short path: the name of a unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="oly") as folder:
        made = Site(Path(folder))
        yield made
        for launcher in made.launchers:
            launcher.kill()
            launcher.wait(10)
        made.until(lambda: not made.marked(), 10)


def test_everything_starts_in_order_and_a_clean_stop_is_quick(site: Site) -> None:
    launcher = site.launch("-v")
    site.until_running()
    one, two = site.process("one"), site.process("two")
    assert one["nodes"] == {"rover/first": "active"}
    assert two["nodes"] == {"rover/second": "active", "rover/third": "active"}
    text = site.output
    assert text.index("guardian") < text.index("one  ") < text.index("two  ")
    assert "olympus reset" in text
    begun = time.monotonic()
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(10) == 0
    assert time.monotonic() - begun < 5.0
    assert site.marked() == []
    assert "restarts: none; trips: " in site.output
    assert site.ledger()["state"] == "stopped"
    kept = (site.run_dir / "logs" / "two.jsonl").read_text().splitlines()
    levels = [json.loads(line)["fields"].get("level") for line in kept if "lit" in line]
    assert levels == ["0.4", "0.5"]


def test_a_launch_ends_by_itself_after_its_duration(site: Site) -> None:
    done = site.run("launch", "robot.yaml", "--duration", "0.5", "--json")
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    ready = [event["name"] for event in events if event["event"] == "process"]
    assert sorted(ready[:2]) == ["guardian", "nursery"]
    assert ready[2:] == ["one", "two"]


def test_a_launcher_that_is_watched_closely_is_ahead_of_ordinary_work_and_its_children_are_not(
    site: Site,
) -> None:
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        pytest.skip("no real-time priority is granted here (RLIMIT_RTPRIO, CAP_SYS_NICE)")
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    close = "{watch: {two: 0.5, launcher: 0.2}, priority: 50}"
    robot = ROBOT.replace("{watch: {two: 0.5}}", close)
    (site.folder / "robot.yaml").write_text(robot)
    launcher = site.launch()
    site.until_running()
    before = site.process("guardian")["pid"]
    fifo = os.SCHED_FIFO | os.SCHED_RESET_ON_FORK
    site.until(lambda: os.sched_getscheduler(launcher.pid) == fifo)
    assert os.sched_getparam(launcher.pid).sched_priority == 1
    soft, hard = resource.prlimit(launcher.pid, resource.RLIMIT_RTTIME)
    assert (soft, hard) == (100_000, resource.getrlimit(resource.RLIMIT_RTTIME)[1])
    os.kill(int(str(before)), signal.SIGKILL)
    site.until(lambda: site.process("guardian")["pid"] not in (before, None))
    after = int(str(site.process("guardian")["pid"]))
    assert resource.prlimit(after, resource.RLIMIT_RTTIME) == (hard, hard)
    site.until(lambda: os.sched_getparam(after).sched_priority == 50)


def test_no_process_outlives_a_launcher_that_is_killed(site: Site) -> None:
    launcher = site.launch()
    site.until_running()
    assert len(site.marked()) == 5  # launcher, guardian, nursery, two hosts
    launcher.kill()
    launcher.wait(10)
    site.until(lambda: not site.marked(), 5)


def test_a_killed_host_is_back_within_two_seconds_and_counted(site: Site) -> None:
    site.launch()
    site.until_running()
    before = site.process("one")
    os.kill(int(str(before["pid"])), signal.SIGKILL)
    begun = time.monotonic()
    site.until(
        lambda: site.process("one")["restarts"] == 1 and site.process("one")["state"] == "ready"
    )
    assert time.monotonic() - begun < 10.0  # 2 s on a quiet machine; this one may be busy
    assert site.process("one")["pid"] != before["pid"]
    assert site.process("one")["last_exit"] == "SIGKILL"


def test_a_node_that_cannot_start_is_named_with_its_reason(site: Site) -> None:
    done = site.run("launch", "robot.yaml", "second.is_broken:=true")
    assert done.returncode != 0
    assert "'two'" in done.stderr
    assert "change the bulb" in done.stderr
    assert site.marked() == []


@pytest.mark.parametrize("place", ["constructor", "import"])
def test_a_node_that_never_comes_to_life_is_named_with_the_way_out(site: Site, place: str) -> None:
    text = STUCK if place == "constructor" else "import time\ntime.sleep(600)\n" + STUCK
    (site.folder / "stuck_node.py").write_text(text)
    (site.folder / "robot.yaml").write_text(
        "nodes:\n  first: {uses: 'lamp_node:Lamp', host: one}\n"
        "  last: {uses: 'stuck_node:Stuck', host: late}\n"
        "hosts:\n  late: {ready_timeout_s: 3}\n"
    )
    words = ["--no-import"] if place == "import" else []
    done = site.run("launch", "robot.yaml", *words)
    assert done.returncode == 2
    told = "olympus: host 'late': not ready after 3 s; not active: last; what takes so long?"
    assert told in done.stderr
    assert "ready_timeout_s" in done.stderr
    assert "Traceback" not in done.stderr
    assert site.marked() == []


@pytest.mark.parametrize("after_s", [0.4, 0.9, 1.4])
def test_no_process_outlives_a_launcher_that_is_killed_while_it_starts(
    site: Site, after_s: float
) -> None:
    launcher = site.launch()
    time.sleep(after_s)  # wherever it is by then, nothing may be left
    launcher.kill()
    launcher.wait(10)
    site.until(lambda: not site.marked(), 5)
    site.launch()
    site.until_running()  # what was left half made stands in nobody's way


@pytest.mark.parametrize("size_kb", [4, 16])
def test_a_run_folder_without_room_is_named(site: Site, size_kb: int) -> None:
    apart = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    small = f"mkdir small && mount -t tmpfs -o size={size_kb}k tmpfs small"
    if subprocess.run([*apart, small], cwd=site.folder, check=False).returncode:
        pytest.skip("this machine gives no mount namespace (unshare)")
    (site.folder / "small").rmdir()
    launch = shlex.join(site.command("launch", "robot.yaml", "--duration", "1"))
    done = subprocess.run(
        [*apart, f"{small} && {launch}"],
        cwd=site.folder,
        env={**site.environment, "XDG_RUNTIME_DIR": str(site.folder / "small")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 2
    assert "room" in done.stderr
    assert "set XDG_RUNTIME_DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_param_out_of_range_is_refused_before_anything_starts(site: Site) -> None:
    done = site.run("launch", "robot.yaml", "second.level:=3")
    assert done.returncode != 0
    assert "robot.yaml:8" in done.stderr
    assert "second.level" in done.stderr
    assert "active" not in done.stdout
    assert "did you mean 'level'" in site.run("check", "robot.yaml", "first.levl:=1").stdout


def test_an_edited_params_file_is_applied_or_refused_as_a_whole(site: Site) -> None:
    launcher = site.launch()
    site.until_running()
    tuned = site.folder / "tuned.yaml"
    tuned.write_text("second: {level: 0.9}\nfirst: {level: 0.8}\n")
    site.until(lambda: "applied" in site.output)
    assert "second.level=0.9" in site.output
    tuned.write_text("second: {level: 9}\nfirst: {level: 0.1}\n")
    site.until(lambda: "refused, the old values stay" in site.output)
    assert "second.level" in site.output
    assert "level=0.1" not in site.output
    os.kill(int(str(site.process("two")["pid"])), signal.SIGKILL)
    site.until(
        lambda: site.process("two")["restarts"] == 1 and site.process("two")["state"] == "ready"
    )
    spec = json.loads((site.run_dir / "hosts" / "two.json").read_text())
    assert spec["nodes"][0]["params"]["level"] == 0.9
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(10) == 0


def test_go_permits_motion_and_sends_the_mission(site: Site) -> None:
    with (site.folder / "robot.yaml").open("a") as file:
        file.write("mission: patrol the corridor\n")
    site.launch("--go")
    site.until(lambda: "told to patrol the corridor" in site.output)
    assert "permit: CONFIRMED" in site.output
    status = subprocess.run(
        site.command("status", "--json"), env=site.environment, capture_output=True, text=True
    )
    assert json.loads(status.stdout)["by"] == "operator at the launch terminal"


def test_a_host_that_hangs_and_blocks_signals_is_gone_within_five_seconds(site: Site) -> None:
    launcher = site.launch("third.hangs:=true")
    site.until(lambda: "hanging" in site.output)
    site.until_running()
    begun = time.monotonic()
    launcher.send_signal(signal.SIGINT)
    launcher.wait(20)
    assert time.monotonic() - begun < 5.0
    assert site.marked() == []


def test_a_second_ctrl_c_ends_everything_at_once(site: Site) -> None:
    launcher = site.launch("third.hangs:=true")
    site.until(lambda: "hanging" in site.output)
    site.until_running()
    begun = time.monotonic()
    launcher.send_signal(signal.SIGINT)
    site.until(lambda: site.ledger().get("state") == "stopping")
    launcher.send_signal(signal.SIGINT)
    launcher.wait(20)
    assert time.monotonic() - begun < 2.5
    assert site.marked() == []


def test_an_embedded_broker_comes_back_at_the_same_address(site: Site) -> None:
    with (site.folder / "robot.yaml").open("a") as file:
        file.write("  fourth: {uses: 'lamp_node:Lamp', params: {url: '${broker.url}'}}\n")
    site.launch()
    site.until_running()
    spec = json.loads((site.run_dir / "hosts" / "fourth.json").read_text())
    url = spec["nodes"][0]["params"]["url"]
    port = int(url.rpartition(":")[2])
    socket.create_connection(("127.0.0.1", port), 5).close()
    os.kill(int(str(site.process("broker")["pid"])), signal.SIGKILL)
    site.until(lambda: site.process("broker")["restarts"] == 1)
    site.until(lambda: site.process("broker")["state"] == "ready")
    socket.create_connection(("127.0.0.1", port), 5).close()


def test_keys_on_the_terminal_permit_stop_and_quit(site: Site) -> None:
    with at_a_terminal(site) as (launcher, screen, is_as_before):
        screen.until("q quits")
        screen.until("motion is stopped")
        screen.press(b"r")
        screen.until("permit: CONFIRMED")
        screen.press(b" ")
        screen.until("stop: ")
        screen.press(b"q")
        screen.until("stopped in")
        launcher.wait(10)
        assert is_as_before()


def test_a_terminal_that_takes_nothing_more_holds_up_no_key(site: Site) -> None:
    client = SafetyClient(site.run_dir / "safety")
    with at_a_terminal(site) as (launcher, screen, _):
        screen.until("motion is stopped")
        screen.press(b"r")
        screen.until("permit: CONFIRMED")
        screen.press(b"\x13")  # Ctrl-S
        pid = site.process("one")["pid"]
        os.kill(int(str(pid)), signal.SIGKILL)  # which the launcher has something to say about
        site.until(lambda: site.process("one").get("restarts") == 1, 10)
        assert client.status().is_permitted  # host one is not watched
        screen.press(b" ")
        site.until(lambda: not client.status().is_permitted, 5)
        screen.press(b"q")
        site.until(lambda: site.ledger().get("state") == "stopped", 10)
        assert launcher.wait(10) == 0
        assert not select.select([screen.fd], [], [], 0)[0]  # it took nothing more, to the end


def test_a_second_session_of_the_same_name_is_refused(site: Site) -> None:
    site.launch()
    site.until_running()
    done = site.run("launch", "robot.yaml")
    assert "running already" in done.stderr


def test_check_prints_hosts_in_start_order_as_json(site: Site) -> None:
    done = site.run("check", "robot.yaml", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"]) == (0, True)
    assert list(told["hosts"]) == ["one", "two"]
    assert told["nodes"]["second"]["params"] == {
        "level": 0.4,
        "name": "lamp",
        "is_broken": False,
        "hangs": False,
        "url": "",
    }


def test_a_session_without_a_viewer_serves_its_figures_to_prometheus(site: Site) -> None:
    text = ROBOT + "telemetry: {prometheus: '127.0.0.1:0'}\n"
    (site.folder / "robot.yaml").write_text(text)
    site.launch()
    site.until(lambda: "metrics: http" in site.output)
    url = site.output.split("metrics: ")[1].split()[0]

    def page() -> str:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())

    site.until(lambda: 'olympus_host_restarts_total{host="two"} 0' in page())
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(url.replace("metrics", "other"), timeout=5)


def test_a_taken_metrics_port_is_named_with_the_way_out(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        text = ROBOT + f"telemetry: {{prometheus: '{address}'}}\n"
        (site.folder / "robot.yaml").write_text(text)
        done = site.run("launch", "robot.yaml", "--duration", "5")
    assert done.returncode == 2
    assert "give a free host:port" in done.stderr + done.stdout
