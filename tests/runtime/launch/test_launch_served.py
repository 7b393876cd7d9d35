"""What a launch does for people and programs: keys, missions, edited params, figures, the plan."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import termios
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.runtime.launch.conftest import ROBOT, Site

from olympus.runtime.safety.client import SafetyClient

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

CREW = """
from olympus.runtime.messages import Ack, Command
from olympus.runtime.node import Node, output, service, subscribe

class Driver(Node):
    said = output("said", Command)

    @subscribe("command")
    def on_command(self, command: Command) -> None:
        self.log.warning(f"driver heard {command.text}")

    @service("say")
    def on_say(self, command: Command) -> Ack:
        self.said.publish(Command(text=command.text, verb=""))
        return Ack(ok=True, text="")

class Scribe(Node):
    @subscribe("command")
    def on_command(self, command: Command) -> None: ...

    @subscribe("said")
    def on_said(self, command: Command) -> None: ...
"""
WITH_A_CREW = """
name: robot
namespace: rover
mission: patrol the corridor
safety: {watch: {one: 2.0}, lease_ms: 1000}
nodes:
  scribe: {uses: "crew:Scribe", host: one}
  driver: {uses: "crew:Driver", host: two}
"""


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
        launcher.wait(30)
        os.close(leader)
        os.close(follower)


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
    assert launcher.wait(30) == 0


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


def test_the_mission_goes_to_who_obeys_not_to_who_only_takes_note(site: Site) -> None:
    (site.folder / "crew.py").write_text(CREW)
    (site.folder / "robot.yaml").write_text(WITH_A_CREW)
    site.launch("--go")
    site.until(lambda: "mission" in site.output)
    assert "was not sent" not in site.output
    site.until(lambda: "driver heard patrol the corridor" in site.output)


def test_keys_on_the_terminal_permit_stop_and_quit(site: Site) -> None:
    with at_a_terminal(site) as (launcher, screen, is_as_before):
        screen.until("q quits")
        screen.until("permit it with: olympus reset")
        screen.press(b"r")
        screen.until("permit: CONFIRMED")
        assert "olympus say" not in screen.text  # nobody here has a mission
        screen.press(b" ")
        screen.until("stop: ")
        screen.press(b"q")
        screen.until("stopped in")
        launcher.wait(30)
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
        site.until(lambda: site.process("one").get("restarts") == 1)
        assert client.status().is_permitted  # host one is not watched
        screen.press(b" ")
        site.until(lambda: not client.status().is_permitted)
        screen.press(b"q")
        site.until(lambda: site.ledger().get("state") == "stopped")
        assert launcher.wait(30) == 0
        assert not select.select([screen.fd], [], [], 0)[0]  # it took nothing more, to the end


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
