"""A whole launch, real guardian, hub and hosts: started, disturbed, ended; nothing is left."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import time

import pytest
from tests.runtime.launch.conftest import ROBOT, Site

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


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
    assert launcher.wait(30) == 0
    assert time.monotonic() - begun < 5.0
    site.until(lambda: not site.marked())
    assert "restarts: none; trips: " in site.output
    assert site.ledger()["state"] == "stopped"
    kept = (site.run_dir / "logs" / "two.jsonl").read_text().splitlines()
    levels = [json.loads(line)["fields"].get("level") for line in kept if "lit" in line]
    assert levels == ["0.4", "0.5"]


def test_a_launch_without_a_safety_section_says_that_it_has_no_guardian(site: Site) -> None:
    file = site.folder / "robot.yaml"
    guarded = file.read_text()
    file.write_text(guarded.replace("safety: {watch: {two: 2.0}, lease_ms: 1000}", ""))
    launcher = site.launch()
    site.until(lambda: "no safety section: no guardian runs" in site.output)
    asked = site.run("status")
    assert asked.returncode == 7
    assert "this launch has no guardian: its launch file has no `safety` section" in asked.stderr
    stopped = site.run("stop")
    assert stopped.returncode == 7
    assert "this launch has no guardian" in stopped.stdout
    launcher.terminate()
    launcher.wait(30)
    file.write_text(guarded)
    site.launch()
    site.until_running()
    assert site.run("status").returncode == 0


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
    close = "{watch: {two: 2.0, launcher: 0.2}, priority: 50}"
    robot = ROBOT.replace("{watch: {two: 2.0}, lease_ms: 1000}", close)
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
    site.until(lambda: len(site.marked()) == 5)  # launcher, guardian, nursery, two hosts
    launcher.kill()
    launcher.wait(30)
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


@pytest.mark.parametrize("after_s", [0.4, 0.9, 1.1, 1.4])
def test_no_process_outlives_a_launcher_that_is_killed_while_it_starts(
    site: Site, after_s: float
) -> None:
    launcher = site.launch()
    time.sleep(after_s)  # wherever it is by then, nothing may be left
    launcher.kill()
    launcher.wait(30)
    site.until(lambda: not site.marked())
    site.launch()
    site.until_running()  # what was left half made stands in nobody's way


def test_a_host_that_hangs_and_blocks_signals_is_gone_within_five_seconds(site: Site) -> None:
    launcher = site.launch("third.hangs:=true")
    site.until(lambda: "hanging" in site.output)
    site.until_running()
    begun = time.monotonic()
    launcher.send_signal(signal.SIGINT)
    launcher.wait(30)
    assert time.monotonic() - begun < 5.0
    site.until(lambda: not site.marked())


def test_a_second_ctrl_c_ends_everything_at_once(site: Site) -> None:
    launcher = site.launch("third.hangs:=true")
    site.until(lambda: "hanging" in site.output)
    site.until_running()
    launcher.send_signal(signal.SIGINT)
    site.until(lambda: site.ledger().get("state") == "stopping")
    begun = time.monotonic()
    launcher.send_signal(signal.SIGINT)
    launcher.wait(30)
    assert time.monotonic() - begun < 2.5
    site.until(lambda: not site.marked())


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
